"""How one dump file is laid out, and the DuckDB relation that reads it row by row without losing any."""

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

from orchestration.ingestion import feed
from orchestration.ingestion.expressions import literal, quoted
from orchestration.ingestion.sources import Source

Kind = Literal["empty", "text", "integer", "number", "nested", "native"]
Layout = Literal["csv", "jsonl", "documents", "text", "parquet"]

SAMPLE_BYTES = 1 << 20
SAMPLE_RECORDS = 500

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})?(\.\d+)?([eE][+-]?\d{1,2})?")


class UnreadableFile(Exception):
    """A file that cannot be opened or understood at all; the message names it and the cure."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a dump: its name, and what its sampled values are."""

    name: str
    kind: Kind
    native: str = "VARCHAR"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a delimited file is written."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    null_values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a look at the head of a file tells: layout, columns, dialect, and where the records begin."""

    layout: Layout
    columns: tuple[Column, ...]
    paths: frozenset[tuple[tuple[str, ...], Kind]] = frozenset()
    dialect: Dialect = Dialect()
    pattern: str | None = None
    body: int = field(default=0, compare=False)
    newline: bytes = field(default=b"\n", compare=False)
    rows: int | None = field(default=None, compare=False)
    sample: tuple[dict[str, Any], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


def inspect(path: Path, source: Source, wanted: frozenset[str]) -> Shape:
    """Look at the head of a file.

    Args:
        path: The file.
        source: How it is declared.
        wanted: Column names that the source's expressions use; finding them in a CSV's first record proves
            that it is a header.

    Raises:
        UnreadableFile: It cannot be opened, or not as what it is declared to be.
    """
    try:
        form = source.format_of(path.name)
        if form == "parquet":
            return _parquet(path)
        stream = feed.Stream(path)
        head = _head(feed.utf8(stream, source.encoding))
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path}: cannot be read ({error})") from None
    if not head and stream.damage:
        raise UnreadableFile(f"{path}: {stream.damage}; fetch the file again")
    text = head.decode("utf-8", "replace")
    whole = len(head) < SAMPLE_BYTES
    if form == "csv":
        return _delimited(path, head, text, whole, source, wanted)
    if form == "text":
        return _text(source, head)
    return _json(text, whole)


def _head(blocks: Iterable[bytes]) -> bytes:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= SAMPLE_BYTES:
            break
    return head


def _parquet(path: Path) -> Shape:
    connection = duckdb.connect()
    try:
        described = connection.execute("describe select * from read_parquet(?)", [str(path)]).fetchall()
        counted = connection.execute("select num_rows from parquet_file_metadata(?)", [str(path)]).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UnreadableFile(f"{path}: not a readable Parquet file ({reason}); fetch it again") from None
    finally:
        connection.close()
    columns = tuple(Column(name=row[0], kind="native", native=row[1]) for row in described)
    return Shape(layout="parquet", columns=columns, rows=counted[0][0])


# ---------------------------------------------------------------------------------------------- text


def _text(source: Source, head: bytes) -> Shape:
    names = tuple(re.compile(source.pattern).groupindex) if source.pattern else ("line",)
    columns = tuple(Column(name=name, kind="text") for name in names)
    return Shape(layout="text", columns=columns, pattern=source.pattern, newline=b"\n")


# ---------------------------------------------------------------------------------------------- json


def _json(text: str, whole: bool) -> Shape:
    start = text.lstrip()
    lines = text.split("\n")
    if not whole:
        lines.pop()
    parsed = [_loads(line) for line in itertools.islice((x for x in lines if x.strip()), SAMPLE_RECORDS)]
    layout: Layout = "jsonl"
    if start.startswith("[") or (parsed and not isinstance(parsed[0], dict) and _multiline(start)):
        layout = "documents"
        heads = itertools.islice(feed.documents([text.encode()]), SAMPLE_RECORDS)
        parsed = [_loads(line.decode()) for line in heads]
    records = [record for record in parsed if isinstance(record, dict)]
    kinds: dict[tuple[str, ...], set[Kind]] = {}
    for record in records:
        _note_kinds(record, (), kinds)
    order = sorted(kinds)
    columns = tuple(Column(name=path[0], kind=_kind(kinds[path])) for path in order if len(path) == 1)
    paths = frozenset((path, _kind(kinds[path])) for path in order if len(path) > 1)
    return Shape(layout=layout, columns=columns, paths=paths, sample=tuple(records))


def _loads(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _multiline(start: str) -> bool:
    """Whether the text begins with a JSON object that is spread over several lines."""
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except (ValueError, RecursionError):
        return False
    return "\n" in start[:end]


def _note_kinds(value: dict[str, Any], at: tuple[str, ...], kinds: dict[tuple[str, ...], set[Kind]]) -> None:
    """Collect the kinds of values met under each path, three levels deep and no more."""
    for key, inner in value.items():
        path = (*at, key)
        known = kinds.setdefault(path, set())
        if isinstance(inner, dict | list):
            known.add("nested")
            if isinstance(inner, dict) and len(path) < 3 and len(kinds) < 5000:
                _note_kinds(inner, path, kinds)
        elif isinstance(inner, bool) or isinstance(inner, str):
            known.add(_kind_of(inner) if isinstance(inner, str) and inner else "text")
        elif isinstance(inner, int):
            known.add("integer" if abs(inner) < 10**18 else "text")
        elif isinstance(inner, float):
            known.add("number")


def _kind_of(text: str) -> Kind:
    """The kind of one non-empty value: a number only where its text is that number's own spelling."""
    if _INTEGER.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text) and any(c.isdigit() for c in text):
        return "number"
    return "text"


def _kind(kinds: set[Kind]) -> Kind:
    if "nested" in kinds:
        return "nested"
    if not kinds:
        return "empty"
    if "text" in kinds:
        return "text"
    return "number" if "number" in kinds else "integer"


# ----------------------------------------------------------------------------------------------- csv


def _delimited(
    path: Path, head: bytes, text: str, whole: bool, source: Source, wanted: frozenset[str]
) -> Shape:
    options = source.csv
    body = 0
    for _ in range(options.skip):
        body = head.find(b"\n", body) + 1 or len(head)
    text = head[body:].decode("utf-8", "replace")
    newline = b"\r\n" if b"\r\n" in head else b"\n"
    delimiter = options.delimiter or _delimiter(text, path, options.quote)
    escape = options.escape or options.quote
    dialect = Dialect(
        delimiter=delimiter, quote=options.quote, escape=escape, null_values=options.null_values
    )
    records = list(itertools.islice(_records(text, dialect), SAMPLE_RECORDS))
    if not whole and len(records) > 1 and len(records) < SAMPLE_RECORDS:
        records.pop()
    if not records:
        return Shape(layout="csv", columns=(), dialect=dialect, newline=newline)
    first = [name.strip() for name in records[0]]
    has_header = (
        options.header if options.header is not None else _is_header(records, options.columns, wanted)
    )
    if has_header:
        body += _first_record_bytes(text, dialect)
        records = records[1:]
    widths = Counter(len(record) for record in records)
    width = widths.most_common(1)[0][0] if widths else len(first)
    names = list(options.columns or (first if has_header else ()))
    notes = []
    if has_header and not options.columns and width != len(first) and widths:
        if width < len(first) or widths[len(first)]:
            width = len(first)
        else:
            notes.append(f"the header names {len(first)} columns, the records have {width} fields")
    if options.columns:
        width = len(names)
    names = _distinct([*names, *[""] * (width - len(names))][:width])
    columns = tuple(
        Column(name=name, kind=_kind({_kind_of(r[i]) for r in records if len(r) == width and r[i]}))
        for i, name in enumerate(names)
    )
    sample = tuple(dict(zip(names, r, strict=True)) for r in records if len(r) == width)
    return Shape(
        layout="csv",
        columns=columns,
        dialect=dialect,
        body=body,
        newline=newline,
        sample=sample,
        notes=tuple(notes),
    )


def _records(text: str, dialect: Dialect) -> Iterator[list[str]]:
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


def _first_record_bytes(text: str, dialect: Dialect) -> int:
    """The length of the first record, with its line end, in bytes of UTF-8."""
    taken: list[str] = []

    def physical() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    reader = csv.reader(physical(), delimiter=dialect.delimiter, quotechar=dialect.quote or None)
    for record in reader:
        if record:
            break
    return len("".join(taken).encode())


def _delimiter(text: str, path: Path, quote: str) -> str:
    """The delimiter that splits the first records most evenly into more than one field."""
    named = "\t" if ".tsv" in path.name or ".tab" in path.name else ","
    best, best_score = named, 0.0
    for candidate in (named, ",", "\t", ";", "|"):
        dialect = Dialect(delimiter=candidate, quote=quote, escape=quote)
        widths = Counter(len(r) for r in itertools.islice(_records(text, dialect), 200))
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        score = count / sum(widths.values()) if width > 1 else 0.0
        if score > best_score + 0.01:
            best, best_score = candidate, score
    return best


def _is_header(records: list[list[str]], declared: tuple[str, ...] | None, wanted: frozenset[str]) -> bool:
    """Whether the first record holds names: those declared or used, or texts over columns of numbers."""
    first = [name.strip() for name in records[0]]
    folded = {name.casefold() for name in first}
    if declared:
        return folded == {name.casefold() for name in declared}
    if folded & {name.casefold() for name in wanted}:
        return True
    if any(not name or _kind_of(name) != "text" for name in first) or len(folded) != len(first):
        return False
    return not any(name in record for record in records[1:100] for name in first)


def _distinct(names: list[str]) -> list[str]:
    """Names made unique regardless of case, as SQL needs them: ``a, A, ''`` become ``a, A_1, column3``."""
    seen: set[str] = set()
    distinct = []
    for number, name in enumerate(names, start=1):
        base = name or f"column{number}"
        candidate, copy = base, 0
        while candidate.casefold() in seen:
            copy += 1
            candidate = f"{base}_{copy}"
        seen.add(candidate.casefold())
        distinct.append(candidate)
    return distinct


# ------------------------------------------------------------------------------------------- reading


def blocks(path: Path, source: Source, shape: Shape, *, careful: bool) -> tuple[feed.Stream, Iterable[bytes]]:
    """What is fed to the parser for one file: its records, and a last one that proves it saw them all.

    Args:
        path: The file.
        source: How it is declared.
        shape: What `inspect` found.
        careful: Record by record, with whatever a parser would stumble over replaced by a marked record.
            Slower; chosen after the parser has stumbled.
    """
    stream = feed.Stream(path)
    text = feed.utf8(stream, source.encoding)
    end = feed.END.encode()
    if shape.layout == "csv":
        body = feed.skip(text, shape.body)
        if careful:
            d = shape.dialect
            body = feed.careful_records(
                body, width=len(shape.columns), delimiter=d.delimiter, quote=d.quote, escape=d.escape
            )
            end += b',""' * (len(shape.columns) - 1)
            return stream, feed.ended(body, end, b"\n")
        end += shape.dialect.delimiter.encode() * (len(shape.columns) - 1)
        return stream, feed.ended(body, end + shape.newline, shape.newline)
    body = feed.documents(text) if shape.layout == "documents" else feed.lines(text)
    if careful:
        body = feed.careful_lines(body)
    return stream, feed.ended(body, end, b"\n")


def relation(path: Path, shape: Shape, *, careful: bool) -> str:
    """The SQL relation of one file's records: `rn`, counted from 1, and `f0, f1, …` or `line`.

    Args:
        path: A pipe that `blocks` feeds; for Parquet the file itself.
        shape: What `inspect` found.
        careful: As for `blocks`.
    """
    if shape.layout == "parquet":
        renamed = ", ".join(f"{quoted(c.name)} as f{i}" for i, c in enumerate(shape.columns))
        return (
            f"select file_row_number + 1 as rn, {renamed} "
            f"from read_parquet({literal(str(path))}, file_row_number = true)"
        )
    if shape.layout == "csv":
        names = [f"f{i}" for i in range(len(shape.columns))]
        dialect = Dialect(null_values=shape.dialect.null_values) if careful else shape.dialect
    else:
        names = ["line"]
        dialect = Dialect(delimiter="", quote="", escape="")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    nulls = ", ".join(literal(value) for value in ("", *dialect.null_values))
    return (
        f"select row_number() over () as rn, * from read_csv({literal(str(path))}, columns = {{{columns}}}, "
        f"delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, "
        f"escape = {literal(dialect.escape)}, nullstr = [{nulls}], header = false, auto_detect = false, "
        f"parallel = false, max_line_size = {feed.MAX_LINE}, buffer_size = {2 * feed.MAX_LINE})"
    )

