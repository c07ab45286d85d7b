"""What the head of a dump file tells of its shape."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import duckdb

from orchestration.ingestion import records
from orchestration.ingestion.csv_shapes import csv_shape
from orchestration.ingestion.faults import UnreadableFileError, may_pass
from orchestration.ingestion.json_shapes import json_shape
from orchestration.ingestion.shapes import SAMPLE_BYTES, SAMPLE_RECORDS, Column, Dialect, Shape, columns_of, distinct
from orchestration.ingestion.sources import COMPRESSION_SUFFIXES, Source
from orchestration.ingestion.streams import Stream, utf8
from orchestration.sql import literal


def inspect(path: Path, source: Source, wanted: frozenset[str] = frozenset()) -> Shape:
    """Look at the head of a file.

    Args:
        path: The file.
        source: How it is declared.
        wanted: Column names that the source needs. A first CSV record with one of them is a header.

    Raises:
        UnreadableFileError: It cannot be opened, or is not what it is declared to be.
    """
    try:
        _refuse_archive(path)
        form = source.format_of(path.name)
        if form == "parquet":
            return _parquet(path)
        stream = Stream(path)
        head = _head(utf8(stream, source.encoding))
        if head[257:262] == b"ustar":
            raise ValueError("a tar archive; unpack it beside, and let `path` match what was in it")
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
            return csv_shape(path, head, source, cut=cut, wanted=wanted)
        case "text":
            return _text(head, source)
        case "w3c":
            return _w3c(path, head, source)
    shape = json_shape(head, source, cut=cut)
    if head and not shape.columns and path.suffix.lower() in COMPRESSION_SUFFIXES and not stream.is_packed:
        raise UnreadableFileError(f"{path}: not compressed, as its name says, and no JSON either; fetch the file again")
    return shape


def _refuse_archive(path: Path) -> None:
    """Refuse what would be read as binary text: every row of it a reject, and none of them telling why."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise ValueError(
                "a zip archive, or an Excel workbook; unpack the one and let `path` match what was in it, or save the "
                "other as CSV"
            )


def _head(blocks: Iterable[bytes]) -> bytes:
    taken: list[bytes] = []
    for block in blocks:
        taken.append(block)
        if sum(map(len, taken)) >= SAMPLE_BYTES:
            break
    return b"".join(taken)


def _parquet(path: Path) -> Shape:
    file = literal(path)
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
    columns = columns_of(list(re.compile(source.pattern).groupindex), sample)
    return Shape(layout="text", columns=columns, dialect=dialect, pattern=source.pattern, sample=sample)


def _matches(head: bytes, pattern: str, dialect: Dialect) -> tuple[dict[str, str], ...]:
    """What the named groups of a pattern match in some lines."""
    lines = itertools.islice(head.decode("utf-8", "replace").split("\n"), SAMPLE_RECORDS)
    matches = (match for line in lines if (match := re.search(pattern, line.rstrip("\r"))))
    nulls = {None, "", *dialect.null_values}
    return tuple({n: "" if v in nulls else v for n, v in match.groupdict().items()} for match in matches)


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
    return Shape(layout="w3c", columns=columns_of(names, sample), dialect=dialect, pattern=pattern, sample=sample)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1].replace('""', '"') if quoted else value
