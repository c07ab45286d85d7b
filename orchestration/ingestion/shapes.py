"""How one dump file is laid out: columns, dialect, where the records begin."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestration.ingestion.expressions import Reference

Kind = Literal["empty", "text", "integer", "number", "nested", "native"]
Layout = Literal["csv", "jsonl", "documents", "text", "w3c", "parquet"]

SAMPLE_BYTES = 1 << 20
SAMPLE_RECORDS = 500

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


def kind_of(text: str) -> Kind:
    """What one non-empty text is."""
    if _INTEGER.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text) and any(map(str.isdigit, text)):
        return "number"
    return "text"


def kind_among(kinds: set[Kind]) -> Kind:
    """What a column is whose values are of these kinds."""
    for kind in ("nested", "text", "number", "integer"):
        if kind in kinds:
            return kind
    return "empty"


def columns_of(names: list[str], sample: Iterable[dict[str, str]]) -> tuple[Column, ...]:
    """Columns of text, with the kinds that their sampled values have."""
    kinds: dict[str, set[Kind]] = {name: set() for name in names}
    for record in sample:
        for name, value in record.items():
            if value:
                kinds[name].add(kind_of(value))
    return tuple(Column(name=name, kind=kind_among(kinds[name])) for name in names)


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
