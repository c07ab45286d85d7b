"""The DuckDB relation of one dump file's records, numbered, with none left out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from orchestration.ingestion import records
from orchestration.ingestion.shapes import Dialect, Shape
from orchestration.ingestion.sources import Source
from orchestration.ingestion.streams import Stream, utf8
from orchestration.sql import literal, quoted

Way = Literal["trusting", "plain", "careful"]
"""How a file is read: taking JSON for valid; proving it, row by row; and looking at each record before it is parsed."""


def ways(shape: Shape, *, trusted: bool) -> list[Way]:
    """The ways to read a file of one shape, the cheapest first; each bears what the one before it may fail on."""
    if shape.layout == "parquet":
        return ["plain"]
    return ["trusting", "plain", "careful"] if shape.is_json and trusted else ["plain", "careful"]


def feed(path: Path, source: Source, shape: Shape, *, careful: bool) -> tuple[Stream, Iterable[bytes]]:
    """What the parser is fed of one file: its records, and an end that proves that it has seen them all.

    Args:
        path: The file.
        source: How it is declared.
        shape: What `inspection.inspect` found.
        careful: Look at each record, and mark those the parser would stumble over. Slower: for a second try.

    Returns:
        The file's stream, which knows about damage once the records have been read, and the records.
    """
    stream = Stream(path)
    text = utf8(stream, source.encoding)
    end = records.END.encode()
    if shape.layout == "csv":
        body = records.skip(text, shape.header)
        dialect = _dialect(shape, careful=careful)
        if careful:
            written = shape.dialect
            body = records.careful_records(
                body,
                width=len(shape.columns),
                delimiter=written.delimiter,
                quote=written.quote,
                escape=written.escape,
            )
        newline = b"\n" if careful else shape.newline
        last = end + dialect.delimiter.encode() * (len(shape.columns) - 1) + newline
        return stream, records.ended(body, last, newline)
    if shape.layout == "documents":
        text = records.documents(text)
    if shape.layout == "w3c":
        text = records.w3c(text)
    body = records.lines(text, careful=careful)
    return stream, records.ended(body, end + b"\n", b"\n")


def relation(path: Path, shape: Shape, *, careful: bool) -> str:
    """The SQL relation of one file's records: `rn`, counted from 1, and either `line` or `f0, f1, …`.

    Args:
        path: A pipe with what `feed` gives; for Parquet the file itself.
        shape: What `inspection.inspect` found.
        careful: As for `feed`.
    """
    if shape.layout == "parquet":
        fields = ", ".join(f"{quoted(column.name)} as f{i}" for i, column in enumerate(shape.columns))
        return f"select file_row_number + 1 as rn, {fields} from read_parquet({literal(path)}, file_row_number = true)"
    names = [f"f{i}" for i in range(len(shape.columns))] if shape.layout == "csv" else ["line"]
    dialect = _dialect(shape, careful=careful)
    columns = ", ".join(f"{name}: 'VARCHAR'" for name in names)
    nulls = ", ".join(map(literal, ("", *dialect.null_values)))
    # Unless it is told which line end ends a record, DuckDB refuses two kinds, also where one of them is quoted.
    newline = r"new_line = '\n', " if careful and shape.layout == "csv" else ""
    # Numbering the rows runs on one core in any case, so the scan gains nothing from more of them, and one
    # that starts at one place only cannot mistake a quoted line end for the end of a record.
    return (
        f"select row_number() over () as rn, * from read_csv({literal(path)}, columns = {{{columns}}}, "
        f"delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, "
        f"escape = {literal(dialect.escape)}, nullstr = [{nulls}], header = false, auto_detect = false, {newline}"
        f"parallel = false, max_line_size = {records.MAX_RECORD}, buffer_size = {2 * records.MAX_RECORD})"
    )


def _dialect(shape: Shape, *, careful: bool) -> Dialect:
    if shape.layout != "csv":
        return Dialect(delimiter=records.LINE_DELIMITER, quote="", escape="")
    return Dialect(null_values=shape.dialect.null_values) if careful else shape.dialect
