"""How one dump file is laid out, as far as its head shows: columns, dialect, where the records begin."""

import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb

from orchestration.ingestion import records
from orchestration.ingestion.expressions import Reference, literal
from orchestration.ingestion.faults import UnreadableFileError, may_pass
from orchestration.ingestion.sources import COMPRESSION_SUFFIXES, Source
from orchestration.ingestion.streams import Stream, utf8

Kind = Literal["empty", "text", "integer", "number", "nested", "native"]
Layout = Literal["csv", "jsonl", "documents", "text", "w3c", "parquet"]

SAMPLE_BYTES = 1 << 20
SAMPLE_RECORDS = 500
MAX_COLUMNS = 500
"""JSON keys beyond these are read row by row: objects keyed by ids would make a column of every id."""

# Only texts that are the number's own spelling: 007, +1 and 25 digits are texts.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})?(\.\d{1,15})?([eE][+-]?\d{1,2})?")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a dump: its name, what its sampled values are, and its type where the file has types."""

    name: str
    kind: Kind
    native: str = "VARCHAR"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How text is written. An empty `quote` means that nothing is quoted, an empty `comment` that nothing is one."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    null_values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the head of a file tells. Equal shapes are read by the same query.

    Attributes:
        columns: The columns, of JSON those of the sampled records, by name.
        paths: The kinds of what lies inside JSON columns, by dotted path.
        pattern: For logs, the regular expression whose named groups are the columns.
        header: Bytes before the first record.
        newline: How lines end.
        rows: The number of rows, where the file itself states it.
        sample: Some records.
        notes: What an analyst should know.
    """

    layout: Layout
    columns: tuple[Column, ...]
    paths: frozenset[tuple[Reference, Kind]] = frozenset()
    dialect: Dialect = Dialect()
    pattern: str | None = None
    header: int = field(default=0, compare=False)
    newline: bytes = field(default=b"\n", compare=False)
    rows: int | None = field(default=None, compare=False)
    sample: tuple[dict[str, Any], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_json(self) -> bool:
        """Whether a record is a JSON object."""
        return self.layout in ("jsonl", "documents")


def inspect(path: Path, source: Source, wanted: frozenset[str] = frozenset()) -> Shape:
    """Look at the head of a file.

    Args:
        path: The file.
        source: How it is declared.
        wanted: Column names that the source's expressions use. A first CSV record with one of them is a header.

    Raises:
        UnreadableFileError: It cannot be opened, or is not what it is declared to be.
    """
    try:
        form = source.format_of(path.name)
        if form == "parquet":
            return _parquet(path)
        stream = Stream(path)
        head = _head(utf8(stream, source.encoding))
    except OSError as error:
        said = f"{path}: cannot be read ({error.strerror or error})"
        raise UnreadableFileError(said, may_pass=may_pass(error)) from None
    except ValueError as error:
        raise UnreadableFileError(f"{path}: {error}") from None
    if stream.damage and not head:
        raise UnreadableFileError(f"{path}: {stream.damage}; fetch the file again")
    cut = len(head) >= SAMPLE_BYTES
    match form:
        case "csv":
            return _delimited(path, head, source, cut=cut, wanted=wanted)
        case "text":
            return _text(head, source)
        case "w3c":
            return _w3c(path, head, source)
    shape = _json(head, source, cut=cut)
    if head and not shape.columns and path.suffix.lower() in COMPRESSION_SUFFIXES and not stream.is_packed:
        raise UnreadableFileError(f"{path}: not compressed, as its name says, and no JSON either; fetch the file again")
    return shape


def _head(blocks: Iterable[bytes]) -> bytes:
    taken: list[bytes] = []
    for block in blocks:
        taken.append(block)
        if sum(map(len, taken)) >= SAMPLE_BYTES:
            break
    return b"".join(taken)


def _parquet(path: Path) -> Shape:
    file = literal(str(path))
    try:
        with duckdb.connect() as connection:
            described = connection.execute(f"describe select * from read_parquet({file})").fetchall()
            counted = connection.execute(f"select num_rows from parquet_file_metadata({file})").fetchall()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise UnreadableFileError(f"{path}: no readable Parquet file ({said}); fetch it again") from None
    columns = tuple(Column(name=row[0], kind="native", native=row[1]) for row in described)
    return Shape(layout="parquet", columns=columns, rows=counted[0][0])


def _text(head: bytes, source: Source) -> Shape:
    dialect = Dialect(comment=source.comment, null_values=source.null_values)
    if not source.pattern:
        return Shape(layout="text", columns=(Column(name="line", kind="text"),), dialect=dialect)
    sample = _matches(head, source.pattern, dialect)
    columns = _columns(list(re.compile(source.pattern).groupindex), sample)
    return Shape(layout="text", columns=columns, dialect=dialect, pattern=source.pattern, sample=sample)


def _matches(head: bytes, pattern: str, dialect: Dialect) -> tuple[dict[str, str], ...]:
    """What the named groups of a pattern match in some lines."""
    lines = itertools.islice(head.decode("utf-8", "replace").split("\n"), SAMPLE_RECORDS)
    matches = (match for line in lines if (match := re.search(pattern, line.rstrip("\r"))))
    nulls = {None, "", *dialect.null_values}
    return tuple({n: "" if v in nulls else v for n, v in match.groupdict().items()} for match in matches)


def _columns(names: list[str], sample: Iterable[dict[str, str]]) -> tuple[Column, ...]:
    """Columns of text, with the kinds that their sampled values have."""
    kinds: dict[str, set[Kind]] = {name: set() for name in names}
    for record in sample:
        for name, value in record.items():
            if value:
                kinds[name].add(_kind_of(value))
    return tuple(Column(name=name, kind=_kind(kinds[name])) for name in names)


def _w3c(path: Path, head: bytes, source: Source) -> Shape:
    """A log in W3C's extended format: its own `#Fields:` line names what the blanks separate."""
    fields = [line for line in head.split(b"\n") if line.lower().startswith(records.W3C_FIELDS)]
    if not fields:
        raise UnreadableFileError(f"{path}: no `#Fields:` line at its start, as a W3C extended log has")
    names = distinct(fields[0].decode("utf-8", "replace").split()[1:])
    groups = r"\s+".join(rf'(?P<f{i}>"(?:[^"]|"")*"|\S+)' for i in range(len(names)))
    pattern = rf"^\s*{groups}\s*$"
    dialect = Dialect(null_values=("-", *source.null_values))
    matches = _matches(head, pattern, dialect)
    sample = tuple(dict(zip(names, map(_unquoted, match.values()), strict=True)) for match in matches)
    return Shape(layout="w3c", columns=_columns(names, sample), dialect=dialect, pattern=pattern, sample=sample)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1].replace('""', '"') if quoted else value


# ---------------------------------------------------------------------------------------------- JSON


def _json(head: bytes, source: Source, *, cut: bool) -> Shape:
    start = head.lstrip()
    lines = head.split(b"\n")
    if cut:
        lines.pop()
    parsed = list(itertools.islice((_loads(line) for line in lines if line.strip()), SAMPLE_RECORDS))
    layout: Layout = "jsonl"
    if start.startswith(b"[") or (parsed and not isinstance(parsed[0], dict) and _spans_lines(start)):
        layout = "documents"
        parsed = list(map(_loads, itertools.islice(records.documents([head]), SAMPLE_RECORDS)))
    sample = [record for record in parsed if isinstance(record, dict)]
    if source.unnest:
        sample = [item for record in sample for item in _unnested(record, source.unnest)][:SAMPLE_RECORDS]
    kinds: dict[Reference, set[Kind]] = {}
    counts: Counter[str] = Counter()
    for record in sample:
        counts.update(record.keys())
        _note_kinds(record, (), kinds)
    usual = {name for name, _ in counts.most_common(MAX_COLUMNS) if (name,) in kinds}
    columns = tuple(Column(name=name, kind=_kind(kinds[name,])) for name in sorted(usual))
    paths = frozenset((path, _kind(kinds[path])) for path in kinds if len(path) > 1 and path[0] in usual)
    return Shape(layout=layout, columns=columns, paths=paths, sample=tuple(sample))


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _spans_lines(start: bytes) -> bool:
    """Whether the text begins with a JSON value that is spread over several lines."""
    text = start.decode("utf-8", "replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip()) and "\n" in text.strip()
    except RecursionError:
        return False
    return "\n" in text[:end]


def _unnested(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = record.get(key)
    if not isinstance(items, list):
        return [record]
    rest = {name: value for name, value in record.items() if name != key}
    return [{**rest, **item} for item in items if isinstance(item, dict)]


def _note_kinds(value: dict[str, Any], at: Reference, kinds: dict[Reference, set[Kind]]) -> None:
    """Collect the kinds of values met under each path, three levels deep and no deeper."""
    for key, inner in value.items():
        if not _is_text(key):
            continue
        path = (*at, key)
        known = kinds.setdefault(path, set())
        if isinstance(inner, dict | list):
            known.add("nested")
            if isinstance(inner, dict) and len(path) < 3 and len(kinds) < 10 * MAX_COLUMNS:
                _note_kinds(inner, path, kinds)
        elif isinstance(inner, bool):
            known.add("text")
        elif isinstance(inner, int):
            known.add("integer" if abs(inner) < 10**18 else "text")
        elif isinstance(inner, float):
            known.add("number")
        elif inner:
            known.add(_kind_of(inner))


def _is_text(key: str) -> bool:
    """Whether SQL can spell a key: JSON can escape halves of characters, and what is none."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in key


def _kind_of(text: str) -> Kind:
    """What one non-empty text is."""
    if _INTEGER.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text) and any(map(str.isdigit, text)):
        return "number"
    return "text"


def _kind(kinds: set[Kind]) -> Kind:
    """What a column is whose values are of these kinds."""
    for kind in ("nested", "text", "number", "integer"):
        if kind in kinds:
            return kind
    return "empty"


# ----------------------------------------------------------------------------------------------- CSV


def _delimited(path: Path, head: bytes, source: Source, *, cut: bool, wanted: frozenset[str]) -> Shape:
    options = source.csv
    header = 0
    for _ in range(options.skip):
        header = head.find(b"\n", header) + 1 or len(head)
    text = head[header:].decode("utf-8", "replace")
    dialect = Dialect(
        delimiter=options.delimiter or _delimiter(text, path, options.quote),
        quote=options.quote,
        escape=options.escape or options.quote,
        null_values=source.null_values,
    )
    newline = b"\r\n" if b"\r\n" in head else b"\n"
    rows = list(itertools.islice(_csv(text, dialect), SAMPLE_RECORDS + 1))
    if cut and 1 < len(rows) <= SAMPLE_RECORDS:
        rows.pop()  # the sample may end within a record
    if not rows:
        return Shape(layout="csv", columns=(), dialect=dialect, newline=newline)
    notes: list[str] = []
    first = [name.strip() for name in rows[0]]
    has_header = options.header
    if has_header is None:
        has_header = _is_header(rows, options.columns, wanted)
    if has_header:
        header += _first_record_size(head[header:], dialect)
        rows = rows[1:]
    names = first if has_header else list(options.columns or ())
    widths = Counter(map(len, rows))
    width = len(names)
    if widths and not widths[width] and (has_header or not options.columns):
        usual = widths.most_common(1)[0][0]
        if usual > width and has_header:
            notes.append(f"{path.name}: the header names {width} columns, the records have {usual} fields")
        width = max(width, usual)
    names = distinct([*names, *[""] * (width - len(names))])
    sample = tuple(dict(zip(names, row, strict=True)) for row in rows if len(row) == width)
    return Shape(
        layout="csv",
        columns=_columns(names, sample),
        dialect=dialect,
        header=header,
        newline=newline,
        sample=sample,
        notes=tuple(notes),
    )


def _csv(text: str, dialect: Dialect) -> Iterator[list[str]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=dialect.escape == dialect.quote,
        escapechar=dialect.escape if dialect.escape != dialect.quote else None,
    )
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if record:
            yield record


def _first_record_size(head: bytes, dialect: Dialect) -> int:
    """The size of the first record with its line end, blank lines before it included."""
    quote = dialect.quote.encode()
    at = 0
    while True:
        end = head.find(b"\n", at) + 1 or len(head)
        line = head[:end]
        open_quote = quote and line.count(quote) % 2 == 1
        if end == len(head) or (line.strip() and not open_quote):
            return end
        at = end


def _delimiter(text: str, path: Path, quote: str) -> str:
    """The delimiter that splits the first records most evenly into more than one field."""
    by_name = "\t" if {".tsv", ".tab"} & set(path.suffixes) else ","
    best, best_score = by_name, 0.0
    for candidate in (by_name, ",", "\t", ";", "|"):
        rows = itertools.islice(_csv(text, Dialect(delimiter=candidate, quote=quote, escape=quote)), 200)
        sizes = list(map(len, rows))
        if not sizes:
            break
        width, count = Counter(sizes).most_common(1)[0]
        score = count / len(sizes) if width > 1 else 0.0
        if sizes[0] == 1:  # a decimal comma splits every record but the header
            score *= 0.9
        if score > best_score + 0.01:
            best, best_score = candidate, score
    return best


def _is_header(rows: list[list[str]], declared: tuple[str, ...] | None, wanted: frozenset[str]) -> bool:
    """Whether the first record holds names: those declared or used, or distinct texts that come but once."""
    first = [name.strip() for name in rows[0]]
    folded = {name.casefold() for name in first}
    if declared:
        wanted |= frozenset(declared)
    if folded & {name.casefold() for name in wanted}:
        return True
    if any(re.fullmatch(r"column[1-9]\d*", name) for name in wanted):
        return False  # the expressions use the names that a file without header is given
    if declared or len(folded) != len(first) or any(not name or _kind_of(name) != "text" for name in first):
        return False
    return not any(set(first) & set(row) for row in rows[1:100])


def distinct(names: list[str]) -> list[str]:
    """Names made distinct regardless of case, as SQL needs them: ``a, A, ''`` become ``a, A_1, column3``."""
    taken: set[str] = set()
    result = []
    for number, name in enumerate(names, start=1):
        base = name or f"column{number}"
        candidates = itertools.chain([base], (f"{base}_{copy}" for copy in itertools.count(1)))
        result.append(next(c for c in candidates if c.casefold() not in taken))
        taken.add(result[-1].casefold())
    return result
