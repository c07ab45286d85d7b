"""How a file of JSON objects is laid out, as far as its head shows."""

import itertools
import json
from collections import Counter
from typing import Any

from orchestration.ingestion import records
from orchestration.ingestion.expressions import Reference
from orchestration.ingestion.shapes import SAMPLE_RECORDS, Column, Kind, Layout, Shape, kind_among, kind_of
from orchestration.ingestion.sources import Source

MAX_COLUMNS = 500
"""JSON keys beyond these are read row by row: objects keyed by ids would make a column of every id."""


def json_shape(head: bytes, source: Source, *, cut: bool) -> Shape:
    """The shape of JSON Lines, or of objects that are spread over lines.

    Args:
        head: The file's beginning, decompressed.
        source: How it is declared.
        cut: Whether there is more, so that the last record may be in part.
    """
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
    columns = tuple(Column(name=name, kind=kind_among(kinds[name,])) for name in sorted(usual))
    paths = frozenset((path, kind_among(kinds[path])) for path in kinds if len(path) > 1 and path[0] in usual)
    return Shape(layout=layout, columns=columns, paths=paths, sample=tuple(sample))


def unnest_hint(shape: Shape, source: Source) -> str:
    """What to declare where records lack what an event needs, and hold a list of objects that may have it."""
    for column in shape.columns if shape.is_json and not source.unnest else ():
        lists = (record.get(column.name) for record in shape.sample)
        if any(isinstance(items, list) and items and isinstance(items[0], dict) for items in lists):
            return f". {column.name} holds a list of objects: with `unnest: {column.name}`, each is an event"
    return ""


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
            known.add(kind_of(inner))


def _is_text(key: str) -> bool:
    """Whether SQL can spell a key: JSON can escape halves of characters, and what is none."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in key
