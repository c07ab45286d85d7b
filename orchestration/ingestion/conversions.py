"""SQL that turns a value of any type into one of a canonical type, or into null where it cannot be one."""

from orchestration.sql import literal

AMOUNT = "decimal(18,4)"

# Texts that are no ISO 8601. Day-month and month-day are not guessed at: that needs an expression.
_ZONED_FORMATS = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S.%f %z",
    # Without seconds, as Java writes whole minutes, DuckDB's casts take no zone.
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H:%MZ",
    "%Y-%m-%d %H:%M%z",
    "%Y-%m-%d %H:%M %z",
    "%Y%m%dT%H%M%S%z",
    "%Y%m%dT%H%M%SZ",
)
_LOCAL_FORMATS = ("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S", "%Y%m%dT%H%M%S")
_FIRST_EPOCH = 315_532_800
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_INTEGERS = tuple(sign + name for name in _SIGNED for sign in ("", "U"))
_NUMBERS = (*_INTEGERS, "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM")


class ConversionError(Exception):
    """A type that holds no value of the wanted kind; the message says what was expected."""


def to_text(sql: str, kind: str) -> str:
    """A text; the empty one is null.

    Args:
        sql: An expression.
        kind: Its DuckDB type.
    """
    if kind == "VARCHAR":
        return f"nullif({sql}, '')"
    if kind == "JSON":
        return f"nullif({sql} ->> '$', '')"
    return f"cast({sql} as varchar)"


def to_identity(text: str, placeholders: tuple[str, ...]) -> str:
    """A user's or device's id; texts that stand for no identity are null, in any case of letters."""
    if not placeholders:
        return text
    listed = ", ".join(literal(placeholder.lower()) for placeholder in placeholders)
    return f"case when not contains([{listed}], lower({text})) then {text} end"


def to_json(sql: str, kind: str) -> str:
    """The text of a JSON value. A text that is no JSON is null."""
    if kind == "JSON":
        return f"cast({sql} as varchar)"
    if kind == "VARCHAR":
        return f"case when json_valid({sql}) then {sql} end"
    return f"cast(to_json({sql}) as varchar)"


def to_amount(sql: str, kind: str) -> str:
    """A number of four decimals: money in its own unit, or a quantity.

    Raises:
        ConversionError: The type is no number.
    """
    if kind in ("VARCHAR", "JSON"):
        return f"try_cast({to_text(sql, kind)} as {AMOUNT})"
    if kind.split("(")[0] not in _NUMBERS:
        raise ConversionError(f"expected a number, but it is a {kind.lower()}")
    return f"try_cast({sql} as {AMOUNT})"


def to_time(sql: str, kind: str, timezone: str) -> str:
    """A UTC timestamp.

    Numbers are epochs of 1980 and later, in the unit that their magnitude tells, or dates written as 20240102
    and 20240102030405: whatever their type. Texts are such numbers, ISO 8601 and its usual variants, dates
    alone, or a few formats of logs. What carries no zone is in the source's. The connection's own time zone
    must be UTC.

    Args:
        sql: An expression.
        kind: Its DuckDB type.
        timezone: The IANA name of the source's zone.

    Raises:
        ConversionError: The type is no point in time.
    """
    if kind in ("VARCHAR", "JSON"):
        return _time_of_text(sql if kind == "VARCHAR" else f"({sql} ->> '$')", timezone)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"try_cast({sql} as timestamp)"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return _from_local(f"try_cast({sql} as timestamp)", timezone)
    if kind in _INTEGERS:
        return _time_of_integer(f"try_cast({sql} as bigint)", timezone)
    if kind.split("(")[0] in _NUMBERS:
        return _time_of_number(sql, timezone)
    raise ConversionError(f"expected a timestamp, a text or an epoch number, but it is a {kind.lower()}")


def _from_local(naive: str, timezone: str) -> str:
    if timezone in ("UTC", "Etc/UTC"):
        return naive
    return f"try(cast(timezone({literal(timezone)}, {naive}) as timestamp))"


def _time_of_text(text: str, timezone: str) -> str:
    # Trimming is dear, so it waits until a text has failed as it stands.
    trimmed = f"trim({text})"
    # Epochs of 8 digits would lie within 1970, and of 14 after 2286; of a text, the length is cheap to tell.
    compact, epoch = _time_of_compact(trimmed, timezone), _time_of_epoch(f"try_cast({trimmed} as bigint)")
    whole = f"case when length({trimmed}) in (8, 14) then {compact} else {epoch} end"
    is_fraction = rf"regexp_full_match({trimmed}, '-?\d+\.\d+')"
    fraction = _time_of_number(f"try_cast({trimmed} as double)", timezone)
    zoned = ", ".join(f"try_strptime({trimmed}, {literal(form)})" for form in _ZONED_FORMATS)
    local = ", ".join(f"try_strptime({trimmed}, {literal(form)})" for form in _LOCAL_FORMATS)
    others = f"try_cast(coalesce({zoned}) as timestamp), {_from_local(f'coalesce({local})', timezone)}"
    return (
        f"coalesce({_time_of_iso(text, timezone)}, case when {text} is null or {trimmed} = '' then null "
        f"when regexp_full_match({trimmed}, '-?\\d+') then {whole} when {is_fraction} then {fraction} "
        f"else coalesce({_time_of_iso(trimmed, timezone)}, {others}) end)"
    )


def _time_of_iso(text: str, timezone: str) -> str:
    # DuckDB's cast to timestamp drops an offset; its cast to timestamptz minds it, at five times the cost.
    # So the first serves texts that end in Z or carry no zone.
    zoned = rf"regexp_matches({text}, ':\d\d([.,]\d+)?\s*([A-Za-z+-].*)$')"
    return (
        f"case when suffix({text}, 'Z') or suffix({text}, ' UTC') then try_cast({text} as timestamp) "
        f"when {zoned} then try_cast(try_cast({text} as timestamptz) as timestamp) "
        f"else {_from_local(f'try_cast({text} as timestamp)', timezone)} end"
    )


def _time_of_integer(sql: str, timezone: str) -> str:
    compact = _time_of_compact(f"cast({sql} as varchar)", timezone)
    return f"case when {_is_compact(sql)} then {compact} else {_time_of_epoch(sql)} end"


def _time_of_epoch(integer: str) -> str:
    # Seconds until the year 5138, then milliseconds, microseconds, and nanoseconds until 2262. In each unit they
    # begin in 1980: a year, a month or a count of days taken for an epoch lies in 1970, and no time is better.
    units = ((10**11, "* 1000000"), (10**14, "* 1000"), (10**17, ""))
    cases = [
        f"when {integer} between {_FIRST_EPOCH * end // 10**11} and {end - 1} then {integer} {factor}"
        for end, factor in units
    ]
    cases.append(f"when {integer} >= {_FIRST_EPOCH * 10**9} then {integer} // 1000")
    return f"make_timestamp(case {' '.join(cases)} end)"


def _time_of_number(sql: str, timezone: str) -> str:
    number = f"cast({sql} as double)"
    unit = (
        f"case when {number} >= {_FIRST_EPOCH} and {number} < 1e11 then 1e6 "
        f"when {number} >= {_FIRST_EPOCH}e3 and {number} < 1e14 then 1e3 "
        f"when {number} >= {_FIRST_EPOCH}e6 and {number} < 1e17 then 1 when {number} >= {_FIRST_EPOCH}e9 then 1e-3 end"
    )
    # A column of whole numbers with gaps is one of fractions to many a writer.
    is_compact = f"{_is_compact(number)} and {number} = floor({number})"
    compact = _time_of_compact(f"cast(cast({number} as bigint) as varchar)", timezone)
    return (
        f"case when {is_compact} then {compact} when isfinite({number}) and abs({number}) < 1e20 "
        f"then make_timestamp(cast(round({number} * {unit}) as bigint)) end"
    )


def _is_compact(number: str) -> str:
    # As epochs, 8 digits would lie within 1970, and 14 after 2286.
    return f"({number} between 19000101 and 20991231 or {number} between 19000101000000 and 20991231235959)"


def _time_of_compact(digits: str, timezone: str) -> str:
    return _from_local(f"coalesce(try_strptime({digits}, '%Y%m%d'), try_strptime({digits}, '%Y%m%d%H%M%S'))", timezone)
