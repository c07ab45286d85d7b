"""What an analyst declares about one kind of dump: where it lies, how it reads, what its columns mean."""

import codecs
import difflib
import hashlib
import json
import re
from importlib import resources
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

TEXT_COLUMNS = (
    "event_id",
    "event_name",
    "user_id",
    "anonymous_id",
    "source_session_id",
    "page",
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "platform",
    "device",
    "country",
    "item_id",
    "currency",
)
TIME_COLUMNS = ("event_ts", "received_ts")
AMOUNT_COLUMNS = ("quantity", "revenue")
REQUIRED_COLUMNS = ("event_ts", "event_name")
IDENTITY_COLUMNS = ("user_id", "anonymous_id")
MAPPABLE_COLUMNS = (*TEXT_COLUMNS, *TIME_COLUMNS, *AMOUNT_COLUMNS, "properties")

EVENT_COLUMNS = {
    "event_id": "varchar",
    "event_name": "varchar",
    "event_ts": "timestamp",
    "received_ts": "timestamp",
    "user_id": "varchar",
    "anonymous_id": "varchar",
    "source_session_id": "varchar",
    "page": "varchar",
    "referrer": "varchar",
    "utm_source": "varchar",
    "utm_medium": "varchar",
    "utm_campaign": "varchar",
    "platform": "varchar",
    "device": "varchar",
    "country": "varchar",
    "item_id": "varchar",
    "quantity": "decimal(18,4)",
    "revenue": "decimal(18,4)",
    "currency": "varchar",
    "properties": "varchar",
    "source": "varchar",
    "dump_file": "varchar",
    "dump_row": "bigint",
    "load_id": "varchar",
}

Format = Literal["csv", "jsonl", "json", "parquet", "text", "w3c"]

FORMAT_BY_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".psv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".log": "text",
}
COMPRESSION_SUFFIXES = frozenset({".gz", ".bz2", ".zst", ".xz"})

# Raise this when the lake's content for the same dump would change, so that every file is read again.
READER_VERSION = 5


def _sql(value: object) -> object:
    """Take a bare YAML number for the SQL constant it spells."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _mappable(column: str) -> str:
    if column not in MAPPABLE_COLUMNS:
        near = difflib.get_close_matches(column, MAPPABLE_COLUMNS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{column!r} is no canonical column; {hint}known: {', '.join(MAPPABLE_COLUMNS)}")
    return column


SqlExpression = Annotated[str, BeforeValidator(_sql), Field(min_length=1)]
CanonicalColumn = Annotated[str, AfterValidator(_mappable)]


class CsvOptions(BaseModel):
    """How a delimited file is written; what is left out is detected from the file itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: str | None = Field(default=None, min_length=1, max_length=3, description="for example ';' or '\\t'")
    quote: str = Field(default='"', max_length=1, description="quoting character; '' when nothing is quoted")
    escape: str | None = Field(default=None, max_length=1, description="default: the quote, doubled")
    header: bool | None = Field(default=None, description="whether the first record holds the names")
    columns: tuple[str, ...] | None = Field(default=None, description="column names of a file without header")
    skip: int = Field(default=0, ge=0, description="lines before the header")

    @field_validator("delimiter")
    @classmethod
    def _named_delimiters(cls, value: str | None) -> str | None:
        named = {"\\t": "\t", "tab": "\t"}.get(value, value) if value else value
        if named and len(named) > 1:
            raise ValueError(f"{named!r} is not one character; for text that blanks align, use `format: text`")
        return named


class Source(BaseModel):
    """One kind of dump: every file that `path` matches is read and mapped the same way.

    Each entry of `columns` is a SQL expression over the dump's own columns, named by the canonical column
    it fills. A canonical column left out is taken from the dump's column of the same name, if it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: tuple[str, ...] = Field(min_length=1)
    preset: str | None = None
    format: Format | None = None
    timezone: str = "UTC"
    encoding: str = "utf-8"
    csv: CsvOptions = CsvOptions()
    pattern: str | None = Field(default=None, description="text format: a regular expression with named groups")
    comment: str = Field(default="", description="text format: what a line that is no record begins with, such as #")
    null_values: tuple[str, ...] = Field(default=(), description="texts that mean 'no value', such as NA")
    unnest: str | None = Field(default=None, description="JSON: a key whose list holds the events themselves")
    where: SqlExpression | None = None
    columns: dict[CanonicalColumn, SqlExpression] = Field(default_factory=dict)
    optional_columns: frozenset[str] = Field(
        default=frozenset(),
        description="columns whose expression a preset gave: what they read may be missing",
    )
    removed_files: Literal["keep", "withdraw"] = "keep"
    max_rejected_share: float | None = Field(default=None, ge=0, le=1)
    placeholder_ids: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value):
            raise ValueError(
                "a source's name is a folder's, too: it is made of letters without accents, digits, _, - and ., "
                "and begins with a letter, a digit or _"
            )
        return value

    @field_validator("path", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str | None) -> str | None:
        names = preset_names()
        if value is not None and value not in names:
            near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"there is no preset {value!r}; {hint}known: {', '.join(names)}")
        return value

    @field_validator("pattern")
    @classmethod
    def _named_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            names = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if not names:
            raise ValueError("the pattern names no groups; write `(?P<name>…)` around what shall be a column")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is not a text encoding such as utf-8, latin-1 or utf-16") from None

    @field_validator("timezone", mode="before")
    @classmethod
    def _known_timezone(cls, value: object) -> str:
        return known_timezone(value)

    def format_of(self, file: str) -> Format:
        """The format of one file: as declared, else by its suffix.

        Raises:
            ValueError: The suffix says nothing and no format is declared.
        """
        if self.format:
            return self.format
        suffixes = [s.lower() for s in PurePosixPath(file).suffixes]
        while suffixes and suffixes[-1] in COMPRESSION_SUFFIXES:
            suffixes.pop()
        if suffixes and suffixes[-1] in FORMAT_BY_SUFFIX:
            return FORMAT_BY_SUFFIX[suffixes[-1]]
        raise ValueError(
            f"source {self.name}: cannot tell the format of {file} by its name; declare `format:` "
            f"(csv, jsonl, json, parquet, text or w3c)"
        )

    def fingerprint(self) -> str:
        """A hash of everything that decides what rows a file of this source becomes."""
        said = self.model_dump(mode="json", exclude={"path", "preset", "removed_files", "max_rejected_share"})
        said["optional_columns"] = sorted(said["optional_columns"])
        text = json.dumps([READER_VERSION, said], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def known_timezone(value: object) -> str:
    """Check an IANA time zone name.

    Raises:
        ValueError: No such zone; the message offers the nearest ones.
    """
    # Which zone that is hangs on the machine, and DuckDB knows none of this name.
    zones = available_timezones() - {"localtime"}
    if isinstance(value, str) and value in zones:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        # YAML reads -3 as a number, and -3:30 as minutes.
        minutes_east = value * 60 if abs(value) <= 14 else value
        value = f"{'-' if minutes_east < 0 else '+'}{abs(minutes_east) // 60:02d}:{abs(minutes_east) % 60:02d}"
    if not isinstance(value, str):
        raise ValueError("expected an IANA time zone such as Europe/London")
    if offset := re.fullmatch(r"(?:UTC|GMT)? ?([+-])(\d{1,2})(?::?(\d\d))?", value):
        sign, hours, minutes = offset.groups()
        fixed = f"Etc/GMT{'-' if sign == '+' else '+'}{int(hours)}"
        whole = f", or {fixed} (its sign is the other way round)" if minutes in (None, "00") and fixed in zones else ""
        raise ValueError(f"{value!r} is an offset, not a zone; write a city's zone such as America/Sao_Paulo{whole}")
    near = difflib.get_close_matches(value, zones, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"{value!r} is not an IANA time zone such as Europe/London{hint}")


def preset_names() -> list[str]:
    """The known dump formats, by name."""
    return sorted(p.name[:-4] for p in _presets().iterdir() if p.name.endswith(".yml"))


def preset(name: str) -> dict[str, Any]:
    """A preset's defaults, as the `sources:` entry they stand for."""
    loaded = yaml.safe_load((_presets() / f"{name}.yml").read_text(encoding="utf-8"))
    return dict(loaded)


def with_preset(declared: dict[str, Any]) -> dict[str, Any]:
    """Lay a source's own declaration over its preset's defaults."""
    name = declared.get("preset")
    if not isinstance(name, str):
        return declared
    base = preset(name)
    own_columns = declared.get("columns") or {}
    merged = {**base, **declared}
    if "csv" in base and isinstance(declared.get("csv"), dict):
        merged["csv"] = {**base["csv"], **declared["csv"]}
    if isinstance(own_columns, dict):
        merged["columns"] = {**base.get("columns", {}), **own_columns}
        merged["optional_columns"] = sorted(set(base.get("columns", {})) - set(own_columns))
    return merged


def _presets() -> Any:
    return resources.files("orchestration.ingestion") / "presets"
