"""How a CSV file is laid out, as far as its head shows: its dialect, its header, its columns."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from orchestration.ingestion.shapes import SAMPLE_RECORDS, Dialect, Shape, columns_of, distinct, kind_of
from orchestration.ingestion.sources import Source


def csv_shape(path: Path, head: bytes, source: Source, *, cut: bool, wanted: frozenset[str]) -> Shape:
    """The shape of a CSV file.

    Args:
        path: The file.
        head: Its beginning, decompressed.
        source: How it is declared.
        cut: Whether there is more, so that the last record may be in part.
        wanted: Column names that the source needs.
    """
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
        columns=columns_of(names, sample),
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
    if declared or len(folded) != len(first) or any(not name or kind_of(name) != "text" for name in first):
        return False
    return not any(set(first) & set(row) for row in rows[1:100])
