"""A source's expressions, bound to one file's columns: the query that makes canonical events of its rows."""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb

from orchestration.ingestion import feed
from orchestration.ingestion.expressions import Expression, ExpressionError, Reference, literal, quoted
from orchestration.ingestion.readers import Column, Shape
from orchestration.ingestion.sources import (
    CANONICAL_AMOUNTS,
    CANONICAL_TEXT,
    CANONICAL_TIMES,
    LAKE_COLUMNS,
    MAPPABLE_COLUMNS,
    Source,
)

FILTERED = ""
BLANK = "\ufdd2"
RETYPE = "\ufdd3"

IDENTITY_COLUMNS = ("user_id", "anonymous_id")

# Text that is no ISO 8601, in the order tried. Day-month and month-day are not guessed at.
_TIME_FORMATS = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y%m%dT%H%M%SZ",
)


class MappingError(Exception):
    """A declared expression that does not fit the dump; the message names source, key and cure."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to run over one file's relation, and what was noticed while binding it.

    Attributes:
        missing: Canonical columns whose expression reads a column this file does not show, with that column.
    """

    steps: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)

    def sql(self, relation: str, *, witness: str, source: str, dump_file: str, load_id: str) -> str:
        """The whole query over one relation.

        Args:
            relation: From `readers.relation`.
            witness: Name of the function that is shown every row not kept: `(row, reason, raw text)`.
            source: The source's name.
            dump_file: How the file is called in the lake.
            load_id: The load it becomes.
        """
        constants = {"source": source, "dump_file": dump_file, "load_id": load_id}
        chosen = ", ".join(
            f"cast(rn as bigint) as {name}"
            if name == "dump_row"
            else f"{literal(constants[name])} as {name}"
            if name in constants
            else name
            for name in LAKE_COLUMNS
        )
        steps = [f"records as ({relation})"]
        before = "records"
        for number, step in enumerate(self.steps):
            steps.append(f"step{number} as ({step.replace('{from}', before)})")
            before = f"step{number}"
        return (
            f"with {', '.join(steps)} select {chosen} from {before} where case when verdict is null then true "
            f"when verdict = {literal(FILTERED)} then false else {witness}(rn, verdict, {self.raw}) end"
        )

    raw: str = "line"


class Binder:
    """Binds one source's expressions to the shapes of its files.

    Args:
        source: The source.
        connection: For parsing and binding; no data is read through it.

    Raises:
        MappingError: An expression is not usable at all.
    """

    def __init__(self, source: Source, connection: duckdb.DuckDBPyConnection) -> None:
        self.source = source
        self._connection = connection
        self._bound: dict[tuple[Shape, frozenset[str]], Query] = {}
        self.expressions = {key: self._expression(key, text) for key, text in source.columns.items()}
        self.where = self._expression("where", source.where) if source.where else None

    def _expression(self, key: str, text: str) -> Expression:
        try:
            return Expression(text, self._connection)
        except ExpressionError as error:
            raise MappingError(f"source {self.source.name}, {_key(key)} `{text}`: {error}") from None

    @property
    def wanted(self) -> frozenset[str]:
        """The first part of every column name the expressions use."""
        used = [*self.expressions.values(), *([self.where] if self.where else [])]
        return frozenset(reference[0] for e in used for reference in e.references)

    def bind(self, shape: Shape, *, as_number: frozenset[str] = frozenset()) -> Query:
        """The query for files of one shape.

        Args:
            shape: From `readers.inspect`.
            as_number: Columns whose sample held whole numbers only, but which are known to hold others.
        """
        key = (shape, as_number)
        if key not in self._bound:
            self._bound[key] = _Binding(self, shape, as_number, self._connection).query()
        return self._bound[key]


class _Binding:
    """One source against one shape. Built in layers: fields, numbers, values, canonical columns."""

    def __init__(
        self, binder: Binder, shape: Shape, as_number: frozenset[str], connection: duckdb.DuckDBPyConnection
    ) -> None:
        self.binder = binder
        self.source = binder.source
        self.shape = shape
        self.json = shape.layout in ("jsonl", "documents")
        self.connection = connection
        self.missing: dict[str, str] = {}
        self.columns = list(shape.columns)
        self.as_number = as_number
        self.exact = {c.name: i for i, c in reversed(list(enumerate(self.columns)))}
        self.folded = {c.name.casefold(): i for i, c in reversed(list(enumerate(self.columns)))}
        self.path_kinds = dict(shape.paths)
        self.aliases: dict[str, tuple[str, str]] = {}  # alias: (sql over fields, type)
        self.guards: dict[str, str] = {}  # typed alias: what to say when the text does not fit the type
        self.json_wanted: set[int] = set()

    # ------------------------------------------------------------------ columns

    def find(self, name: str) -> int | None:
        """The position of a dump column by name, exact before regardless of case."""
        return self.exact.get(name, self.folded.get(name.casefold()))

    def position(self, key: str, reference: Reference) -> int | None:
        """The position of the column a reference reads; for JSON a new column when no sampled row has it."""
        at = self.find(reference[0])
        if at is None or (len(reference) > 1 and self.json and reference not in self.path_kinds):
            self.missing.setdefault(key, ".".join(reference))
        if at is None and self.json:
            self.columns.append(Column(name=reference[0], kind="text"))
            at = len(self.columns) - 1
            self.exact[reference[0]] = at
            self.folded.setdefault(reference[0].casefold(), at)
        if at is not None and self.json and len(reference) > 1:
            self.json_wanted.add(at)
        return at

    def is_json(self, at: int) -> bool:
        return self.json and (self.columns[at].kind == "nested" or at in self.json_wanted)

    def raw(self, key: str, reference: Reference) -> tuple[str, str]:
        """An expression over the fields that yields a reference's value as it stands, and its type."""
        at = self.position(key, reference)
        if at is None:
            return "cast(null as varchar)", "VARCHAR"
        column = self.columns[at]
        if column.kind == "native":
            dotted = "".join(f".{quoted(part)}" for part in reference[1:])
            return f"f{at}{dotted}", column.native if not dotted else "native"
        if len(reference) > 1:
            if not self.json:
                self.missing.setdefault(key, ".".join(reference))
                return "cast(null as varchar)", "VARCHAR"
            path = "$" + "".join("." + json.dumps(part, ensure_ascii=False) for part in reference[1:])
            if self.path_kinds.get(reference) == "nested":
                return f"json_extract(f{at}, {literal(path)})", "JSON"
            return f"json_extract_string(f{at}, {literal(path)})", "VARCHAR"
        return f"f{at}", "JSON" if self.is_json(at) else "VARCHAR"

    def kind(self, reference: Reference) -> str:
        if len(reference) > 1:
            return self.path_kinds.get(reference, "text")
        at = self.find(reference[0])
        kind = self.columns[at].kind if at is not None else "text"
        return "number" if kind == "integer" and reference[0] in self.as_number else kind

    # -------------------------------------------------------------- expressions

    def value(self, key: str, expression: Expression) -> tuple[str, str, bool]:
        """SQL over the aliases for an expression, its type, and whether evaluating it may fail.

        A column is its text wherever text will do, so that an id keeps its zeros and a row means the same in
        every file; it is a number in arithmetic and in comparisons with one. Where that does not bind, it is
        a number throughout, then text throughout, then of the type that DuckDB detects in the sample, and at
        last a number whatever the sample shows.
        """
        if expression.bare is not None and self._known(expression.bare):
            sql, kind = self.raw(key, expression.bare)
            return (sql, kind if kind != "native" else self._type_of(sql), False)
        for reference in expression.references:  # JSON-ness of a column must be settled before it is used
            self.position(key, reference)
        variants: tuple[Callable[[Reference, bool], str], ...] = (
            lambda reference, as_number: (self._number if as_number else self._text)(key, reference),
            lambda reference, _: self._number(key, reference),
            lambda reference, _: self._text(key, reference),
            lambda reference, _: self._detected(key, reference),
            lambda reference, _: self._number(key, reference, force=True),
        )
        problem = ""
        for variant in variants:
            aliases, guards = dict(self.aliases), dict(self.guards)
            sql = expression.render(variant)
            try:
                return sql, self._bind(sql), bool(expression.references)
            except duckdb.Error as error:
                problem = problem or str(error).splitlines()[0]
                self.aliases, self.guards = aliases, guards
        raise MappingError(
            f"source {self.source.name}, {_key(key)} `{expression.text}`: {problem}; "
            f"the dump's columns are {self._listing()}"
        )

    def _known(self, reference: Reference) -> bool:
        return len(reference) == 1 or self.json or self.columns_native()

    def columns_native(self) -> bool:
        return self.shape.layout == "parquet"

    def _number(self, key: str, reference: Reference, *, force: bool = False) -> str:
        kind = self.kind(reference)
        if force and kind in ("text", "empty"):
            kind = "number"
        number = {"integer": "BIGINT", "number": "DOUBLE", "empty": "DOUBLE"}.get(kind)
        return self._typed(key, reference, number) if number else self._text(key, reference)

    def _typed(self, key: str, reference: Reference, kind: str) -> str:
        text = self._text(key, reference)
        alias = f"{text}_{kind.split('(')[0].split(' ')[0].lower()}"
        if alias not in self.aliases:
            self.aliases[alias] = (f"try_cast({text} as {kind})", kind)
            name = ".".join(reference)
            whole = f" or contains({text}, '.') or contains(lower({text}), 'e')" if kind == "BIGINT" else ""
            wrong = f"{text} is not null and ({alias} is null{whole})"
            if kind == "BIGINT":
                self.guards[alias] = (
                    f"when {wrong} then case when try_cast({text} as double) is not null "
                    f"then {literal(RETYPE + reference[0])} else {_complaint(name, text, 'a number')} end"
                )
            else:
                what = "a number" if kind == "DOUBLE" else f"a {kind.lower()}"
                self.guards[alias] = f"when {wrong} then {_complaint(name, text, what)}"
        return alias

    def _text(self, key: str, reference: Reference) -> str:
        sql, kind = self.raw(key, reference)
        for alias, known in self.aliases.items():
            if known == (sql, kind):
                return alias
        alias = f"r{len(self.aliases)}"
        self.aliases[alias] = (sql, kind)
        return alias

    def _detected(self, key: str, reference: Reference) -> str:
        at = self.find(reference[0])
        if at is None or len(reference) > 1 or self.columns[at].kind != "text" or self.json:
            return self._number(key, reference)
        values = [r[self.columns[at].name] for r in self.shape.sample if r.get(self.columns[at].name)]
        listed = ", ".join(f"({literal(value)})" for value in values)
        for kind in ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "BOOLEAN") if values else ():
            fits = self.connection.execute(
                f"select bool_and(try_cast(v as {kind}) is not null) from (values {listed}) t(v)"
            ).fetchall()[0][0]
            if fits:
                return self._typed(key, reference, kind)
        return self._text(key, reference)

    def _bind(self, sql: str) -> str:
        typed = ", ".join(
            f"cast(null as {kind if kind != 'native' else 'varchar'}) as {alias}"
            for alias, (_, kind) in self._types().items()
        )
        source = f"(select {typed})" if typed else "(select 1)"
        described = self.connection.execute(f"describe select {sql} as v from {source}").fetchall()
        return str(described[0][1])

    def _types(self) -> dict[str, tuple[str, str]]:
        return {
            alias: (sql, kind if kind != "native" else self._type_of(sql))
            for alias, (sql, kind) in self.aliases.items()
        }

    def _type_of(self, sql: str) -> str:
        typed = ", ".join(f"cast(null as {c.native}) as f{i}" for i, c in enumerate(self.columns))
        return str(
            self.connection.execute(f"describe select {sql} as v from (select {typed})").fetchall()[0][1]
        )

    def _listing(self) -> str:
        names = [column.name for column in self.columns]
        shown = ", ".join(names[:40])
        return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")

    # -------------------------------------------------------------------- query

    def query(self) -> Query:
        source, expressions = self.source, dict(self.binder.expressions)
        consumed: set[int] = set()
        for name in MAPPABLE_COLUMNS:
            at = self.find(name)
            if name not in expressions and name != "properties" and at is not None:
                expressions[name] = Expression(quoted(self.columns[at].name), self.connection)
        values: dict[str, tuple[str, str]] = {}
        fallible: list[str] = []
        for name, expression in expressions.items():
            sql, kind, may_fail = self.value(name, expression)
            values[name] = (f"try(struct_pack(v := {sql}))" if may_fail else sql, kind)
            fallible += [name] if may_fail else []
            for reference in expression.references:
                at = self.find(reference[0])
                if at is not None and (not self.is_json(at) or expression.bare == reference == reference[:1]):
                    consumed.add(at)
        where = None
        if self.binder.where:
            where = self.value("where", self.binder.where)[0]
            kind = self._bind(where)
            if kind != "BOOLEAN":
                raise MappingError(
                    f"source {source.name}, where `{self.binder.where.text}`: expected a condition, "
                    f"but it is a {kind.lower()}"
                )
        self._refuse_unmapped(values)
        self._refuse_unknown()

        layers = self._fields()
        text_or_line = "line" if self.shape.layout != "csv" else "rn"
        if self.aliases:
            layers.append(
                "select *, "
                + ", ".join(f"{sql} as {alias}" for alias, (sql, _) in self._plain())
                + " from {from}"
            )
            if typed := [(alias, sql) for alias, (sql, _) in self._casts()]:
                layers.append("select *, " + ", ".join(f"{s} as {a}" for a, s in typed) + " from {from}")
        del text_or_line
        evaluated = [f"{sql} as x_{name}" for name, (sql, _) in values.items()]
        if where:
            evaluated.append(f"try(struct_pack(v := {where})) as x_where")
        layers.append("select *, " + ", ".join(evaluated) + " from {from}")

        canonical: dict[str, str] = {}
        complaints: list[str] = []
        hidden = {n: f"x_{n}.v" if n in fallible else f"x_{n}" for n in values}
        for name in CANONICAL_TEXT:
            canonical[name] = self._as_text(name, hidden, values)
        for name in CANONICAL_TIMES:
            canonical[name] = self._as_time(name, hidden, values, complaints)
        for name in CANONICAL_AMOUNTS:
            canonical[name] = self._as_amount(name, hidden, values, complaints)
        canonical["properties"] = (
            self._as_text("properties", hidden, values)
            if "properties" in values
            else self._rest(sorted(set(range(len(self.columns))) - consumed, key=self._name))
        )
        if "event_id" not in values:
            canonical["event_id"] = self._content_hash()
        layers.append(
            "select *, " + ", ".join(f"{sql} as {name}" for name, sql in canonical.items()) + " from {from}"
        )
        layers.append(
            f"select *, {self._verdict(fallible, complaints, where is not None)} as verdict from {{from}}"
        )
        return Query(steps=tuple(layers), missing=dict(self.missing), raw=self._raw_text())

    def _name(self, at: int) -> str:
        return self.columns[at].name

    def _plain(self) -> list[tuple[str, tuple[str, str]]]:
        return [(a, s) for a, s in self.aliases.items() if not s[0].startswith("try_cast(")]

    def _casts(self) -> list[tuple[str, tuple[str, str]]]:
        return [(a, s) for a, s in self.aliases.items() if s[0].startswith("try_cast(")]

    def _refuse_unmapped(self, values: dict[str, tuple[str, str]]) -> None:
        for name in ("event_ts", "event_name"):
            if name not in values:
                raise MappingError(
                    f"source {self.source.name}: no expression for `columns.{name}`, and the dump has no column "
                    f"of that name; its columns are {self._listing()}"
                )
        if not any(name in values for name in IDENTITY_COLUMNS):
            raise MappingError(
                f"source {self.source.name}: `columns` gives neither user_id nor anonymous_id, and the dump has "
                f"no column of either name; its columns are {self._listing()}"
            )

    def _refuse_unknown(self) -> None:
        """Complain of a column that is not there where it cannot just be missing from this file."""

    def _fields(self) -> list[str]:
        """The first layers: `rn`, `fault`, `line` where there is one, and each column as `f0, f1, …`."""
        end, bad = literal(feed.END), literal(feed.REJECTED)
        if self.shape.layout == "parquet":
            return ["select *, cast(null as varchar) as fault from {from}"]
        first = "f0" if self.shape.layout == "csv" else "line"
        marks = (
            f"when starts_with({first}, {bad}) then split_part({first}, {bad}, 2) "
            f"when starts_with({first}, {end}) then {end}"
        )
        if self.shape.layout == "csv":
            return [f"select *, case {marks} end as fault from {{from}}"]
        # Blank lines are rare and trimming is dear, so a line is only trimmed after it has failed to parse.
        marks = f"when line is null then {literal(BLANK)} {marks}"
        blank = f"case when trim(line) = '' then {literal(BLANK)} else"
        if self.shape.layout == "text":
            return self._groups(marks, blank)
        structure = {}
        for i, column in enumerate(self.columns):
            if self._is_own_key(i):
                structure[column.name] = "JSON" if self.is_json(i) or i not in self._scalars() else "VARCHAR"
        flags = (
            f"case {marks} when not json_valid(line) then {blank} 'not valid JSON' end "
            f"when not starts_with(ltrim(line), '{{') then 'not a JSON object' end as fault"
        )
        fields = ", ".join(
            f"j.{quoted(c.name)} as f{i}" if self._is_own_key(i) else f"{self._pick(i)} as f{i}"
            for i, c in enumerate(self.columns)
        )
        parsed = f"from_json(good, {literal(json.dumps(structure))}) as j"
        return [
            f"select *, {flags} from {{from}}",
            "select *, case when fault is null then line end as good from {from}",
            f"select *, {parsed if structure else 'null as j'} from {{from}}",
            f"select * exclude (j){', ' + fields if fields else ''} from {{from}}",
        ]

    def _is_own_key(self, at: int) -> bool:
        """Whether the column can be a field of a struct, where names that differ by case are the same."""
        return self.folded[self.columns[at].name.casefold()] == at

    def _pick(self, at: int) -> str:
        path = literal("$." + json.dumps(self.columns[at].name, ensure_ascii=False))
        extract = "json_extract" if self.is_json(at) or at not in self._scalars() else "json_extract_string"
        return f"{extract}(good, {path})"

    def _scalars(self) -> set[int]:
        """JSON columns read as text because an expression uses them; the others stay JSON."""
        used = {r[0] for e in self.binder.expressions.values() for r in e.references}
        used |= {r[0] for r in (self.binder.where.references if self.binder.where else ())}
        used |= {n for n in MAPPABLE_COLUMNS if n not in self.binder.expressions and n != "properties"}
        return {at for name in used if (at := self.find(name)) is not None}

    def _groups(self, marks: str, blank: str) -> list[str]:
        if not self.shape.pattern:
            return [f"select *, line as f0, case {marks} when trim(line) = '' then {literal(BLANK)} end as fault from {{from}}"]
        pattern = literal(self.shape.pattern)
        names = ", ".join(literal(c.name) for c in self.columns)
        fields = ", ".join(
            f"nullif(nullif(g.{quoted(c.name)}, ''), '-') as f{i}" for i, c in enumerate(self.columns)
        )
        return [
            f"select *, case {marks} when not regexp_matches(line, {pattern}) "
            f"then {blank} 'does not match the declared pattern' end end as fault from {{from}}",
            f"select *, regexp_extract(line, {pattern}, [{names}]) as g from {{from}}",
            f"select *, {fields} from {{from}}",
        ]

    # ------------------------------------------------------- canonical columns

    def _as_text(self, name: str, hidden: dict[str, str], values: dict[str, tuple[str, str]]) -> str:
        if name not in values:
            return "cast(null as varchar)"
        sql, kind = hidden[name], values[name][1]
        if kind == "VARCHAR":
            text = f"nullif({sql}, '')"
        elif kind == "JSON":
            text = f"nullif({sql} ->> '$', '')" if name != "properties" else f"cast({sql} as varchar)"
        elif name == "properties" and kind.startswith(("STRUCT", "MAP")):
            text = f"cast(to_json({sql}) as varchar)"
        else:
            text = f"cast({sql} as varchar)"
        if name in IDENTITY_COLUMNS and self.source.placeholder_ids:
            listed = ", ".join(literal(i.lower()) for i in self.source.placeholder_ids)
            text = f"case when not contains([{listed}], lower({text})) then {text} end"
        return text

    def _as_amount(
        self, name: str, hidden: dict[str, str], values: dict[str, tuple[str, str]], complaints: list[str]
    ) -> str:
        if name not in values:
            return f"cast(null as {LAKE_COLUMNS[name]})"
        sql, kind = hidden[name], values[name][1]
        text = {"VARCHAR": f"nullif(trim({sql}), '')", "JSON": f"nullif(trim({sql} ->> '$'), '')"}.get(
            kind, sql
        )
        complaints.append(
            f"when {text} is not null and {name} is null then "
            f"{_complaint(name, f'cast({text} as varchar)', 'an amount')}"
        )
        return f"try_cast({text} as {LAKE_COLUMNS[name]})"

    def _as_time(
        self, name: str, hidden: dict[str, str], values: dict[str, tuple[str, str]], complaints: list[str]
    ) -> str:
        if name not in values:
            return "cast(null as timestamp)"
        sql, kind = hidden[name], values[name][1]
        text = {"VARCHAR": sql, "JSON": f"({sql} ->> '$')"}.get(kind)
        given = f"{text} <> ''" if text else f"{sql} is not null"
        complaints.append(
            f"when {name} is null and {given} then "
            f"{_complaint(name, f'cast({text or sql} as varchar)', 'a timestamp')}"
        )
        complaints.append(
            f"when {name} < timestamp '1970-01-01' or {name} >= timestamp '2100-01-01' "
            f"then {_complaint(name, f'cast({name} as varchar)', 'between 1970-01-01 and 2100-01-01')}"
        )
        if text:
            return self._time_of_text(text)
        if kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"):
            return f"cast({sql} as timestamp)"
        if kind.startswith("TIMESTAMP") or kind == "DATE":
            return self._localized(f"cast({sql} as timestamp)")
        return _time_of_number(sql)

    def _localized(self, naive: str) -> str:
        """UTC from a local time of the source's zone. The connection's own zone is UTC."""
        if self.source.timezone in ("UTC", "Etc/UTC"):
            return naive
        return f"cast(timezone({literal(self.source.timezone)}, {naive}) as timestamp)"

    def _time_of_text(self, text: str) -> str:
        # DuckDB's cast to timestamp drops an offset, its cast to timestamptz costs four times as much:
        # take the first where the text ends in Z or carries no zone at all.
        zoned = rf"regexp_matches({text}, ':\d\d([.,]\d+)?\s*([A-Za-z+-].*)$')"
        trimmed = f"trim({text})"
        others = ", ".join(f"try_strptime({trimmed}, {literal(f)})" for f in _TIME_FORMATS)
        number = rf"regexp_full_match({trimmed}, '-?\d+(\.\d+)?')"
        digits = rf"regexp_full_match({trimmed}, '(19|20)\d\d(0\d|1[012])([012]\d|3[01])')"
        epoch = _time_of_number(f"try_cast({trimmed} as double)")
        plain = self._localized(f"try_cast({text} as timestamp)")
        compact = self._localized(f"cast(try_strptime({trimmed}, '%Y%m%d') as timestamp)")
        return (
            f"coalesce(case when suffix({text}, 'Z') or suffix({text}, ' UTC') "
            f"then try_cast({text} as timestamp) "
            f"when {zoned} then cast(try_cast({text} as timestamptz) as timestamp) "
            f"else {plain} end, "
            f"case when {text} is null or {trimmed} = '' then null when {digits} then {compact} "
            f"when {number} then {epoch} "
            f"else cast(coalesce({others}) as timestamp) end)"
        )

    def _rest(self, columns: list[int]) -> str:
        """A JSON object of the columns that nothing else consumed, by name, without those that are null."""
        pairs = ", ".join(
            f"{literal(json.dumps(self._name(at), ensure_ascii=False) + ':')} || "
            + (
                f"cast(f{at} as varchar)"
                if self.json and self._holds_json(at)
                else f"cast(to_json(f{at}) as varchar)"
            )
            for at in columns
        )
        known = f"'{{' || concat_ws(',', {pairs}) || '}}'" if pairs else "'{}'"
        if not self.json:
            return known
        return f"case when {self._only_known_keys()} then {known} else {self._any_rest(columns)} end"

    def _holds_json(self, at: int) -> bool:
        return self.is_json(at) or at not in self._scalars()

    def _only_known_keys(self) -> str:
        """Whether all keys of a row are columns: cheaply where none is null, by name otherwise."""
        own = [i for i in range(len(self.columns)) if self._is_own_key(i)]
        filled = " + ".join(f"cast(f{i} is not null as tinyint)" for i in own) or "0"
        names = ", ".join(literal(self._name(i)) for i in own) or "''"
        return (
            f"good is null or len(json_keys(good)) = {filled} "
            f"or len(list_filter(json_keys(good), lambda k: k not in ({names}))) = 0"
        )

    def _any_rest(self, columns: list[int]) -> str:
        consumed = [literal(self._name(i)) for i in range(len(self.columns)) if i not in columns]
        return (
            "'{' || array_to_string("
            + self._each_key(f"k not in ({', '.join(consumed) or chr(39) * 2})")
            + ", ',') || '}'"
        )

    def _each_key(self, condition: str) -> str:
        """Every key of the row with its value, as JSON text, by name: for rows with keys no sample showed."""
        value = "json_extract(good, '/' || replace(replace(k, '~', '~0'), '/', '~1'))"
        return (
            f"list_transform(list_filter(list_sort(list_distinct(json_keys(good))), lambda k: {condition} and "
            f"json_type({value}) <> 'NULL'), lambda k: cast(to_json(k) as varchar) || ':' || {value})"
        )

    def _content_hash(self) -> str:
        """A hash of all the row holds, whatever its file, place, key order or missing columns."""
        order = sorted(range(len(self.columns)), key=self._name)
        if not self.json:
            parts = ", ".join(
                f"{literal(json.dumps(self._name(at), ensure_ascii=False) + ':')} || cast(f{at} as varchar)"
                for at in order
            )
            return f"md5(concat_ws(chr(31), {parts}))" if parts else "md5('')"
        return f"md5(array_to_string({self._each_key('true')}, chr(31)))"

    def _verdict(self, fallible: list[str], complaints: list[str], filtered: bool) -> str:
        """Why a row is not kept; null when it is."""
        cases = ["when fault is not null then fault"]
        cases += self.guards.values()
        if filtered:
            cases.append("when x_where is null then 'where: the condition cannot be evaluated'")
            cases.append(f"when x_where.v is not true then {literal(FILTERED)}")
        cases += [
            f"when x_{name} is null then {literal(f'{name}: the expression fails on this row')}"
            for name in fallible
        ]
        cases += complaints
        cases += [f"when {name} is null then '{name} is missing'" for name in ("event_ts", "event_name")]
        cases.append("when user_id is null and anonymous_id is null then 'neither user_id nor anonymous_id'")
        return f"case {' '.join(cases)} end"

    def _raw_text(self) -> str:
        if self.shape.layout == "parquet":
            row = ", ".join(f"{quoted(c.name)} := f{i}" for i, c in enumerate(self.columns))
            return f"cast(to_json(struct_pack({row})) as varchar)"
        bad = literal(feed.REJECTED)
        if self.shape.layout != "csv":
            return f"case when starts_with(line, {bad}) then split_part(line, {bad}, 3) else line end"
        quote, delimiter = self.shape.dialect.quote or '"', self.shape.dialect.delimiter
        special = f"[\\n\\r{_in_class(quote)}{_in_class(delimiter)}]"
        parts = ", ".join(
            f"case when regexp_matches(f{i}, {literal(special)}) then {literal(quote)} || "
            f"replace(f{i}, {literal(quote)}, {literal(quote * 2)}) || {literal(quote)} else coalesce(f{i}, '') end"
            for i in range(len(self.columns))
        )
        joined = f"array_to_string([{parts}], {literal(delimiter)})"
        return f"case when starts_with(f0, {bad}) then split_part(f0, {bad}, 3) else {joined} end"


def _key(key: str) -> str:
    return key if key == "where" else f"columns.{key}"


def _in_class(character: str) -> str:
    return f"\\{character}" if character in "\\]^-|" else character


def _complaint(name: str, value: str, expected: str) -> str:
    """SQL for a reason that shows the offending value."""
    return f"{literal(name + ' is ')} || chr(39) || left({value}, 100) || chr(39) || {literal(f', not {expected}')}"


def _time_of_number(sql: str) -> str:
    """UTC from an epoch number whose magnitude tells its unit: seconds, then ms, µs and ns."""
    number = f"cast({sql} as double)"
    size = f"abs({number})"
    factor = f"case when {size} < 1e11 then 1e6 when {size} < 1e14 then 1e3 when {size} < 1e17 then 1 else 1e-3 end"
    micros = f"try_cast(round({number} * {factor}) as bigint)"
    return f"case when isfinite({number}) and {size} < 1e20 then make_timestamp({micros}) end"


def nearest(name: str, known: list[str]) -> str:
    """A hint at the columns that look most like a name."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""

