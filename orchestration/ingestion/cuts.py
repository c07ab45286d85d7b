"""The first steps of a query: records of each layout cut into fields, and what is at fault with one that cannot be."""

import json
import re
from collections.abc import Collection, Iterable, Sequence

from orchestration.ingestion import records
from orchestration.ingestion.shapes import Shape
from orchestration.sql import literal, quoted

TRUSTED = "{trusted}"
"""Where a query says which lines need no proof that they are JSON: see `Query.sql`."""
BLANK = "\ufdd2"
"""The fault of a line that holds no record."""
EMPTY = "\ufdd4"
"""The fault of a document whose list of events is empty."""
UNMATCHED = "does not match the pattern"
"""The fault of a line of text."""
CARRIED = 16 << 10
"""How much of a document, in characters, each item of its list is given whatever it is."""
SHORT = 1 << 10
"""How long a value may be that is repeated for each item of a longer document."""

Layer = dict[str, str]
"""Columns that one step of a query adds, by name."""


def of_records(shape: Shape) -> list[Layer | str]:
    """The steps that add `fault`, and to lines of text `f0, f1, …`: the fields of typed files and of CSV are there."""
    match shape.layout:
        case "parquet":
            return [{"fault": "cast(null as varchar)"}]
        case "csv":
            return [{"fault": f"case {_marks('f0')} end"}]
        case _:
            return _of_lines(shape)


def _of_lines(shape: Shape) -> list[Layer | str]:
    # A blank line fails to match like any other, and only then is looked at more closely.
    blank = f"trim(line) = '' then {literal(BLANK)}"
    is_none = "line is null"
    if comment := shape.dialect.comment:
        is_none += f" or starts_with(ltrim(line), {literal(comment)})"
    marks = f"when {is_none} then {literal(BLANK)} {_marks('line')}"
    if shape.pattern is None:
        return [{"fault": f"case {marks} when {blank} end", "f0": "line"}]
    pattern, names = literal(shape.pattern), list(re.compile(shape.pattern).groupindex)
    groups = ", ".join(map(literal, names))
    fault = (
        f"case {marks} when not regexp_matches(line, {pattern}) "
        f"then case when {blank} else {literal(UNMATCHED)} end end"
    )
    nulls = ", ".join(map(literal, ("", *shape.dialect.null_values)))
    values = [f"g.{quoted(name)}" for name in names]
    if shape.layout == "w3c":
        values = list(map(_unquoted, values))
    fields = {f"f{i}": f"case when {value} not in ({nulls}) then {value} end" for i, value in enumerate(values)}
    return [{"fault": fault}, {"g": f"regexp_extract(line, {pattern}, [{groups}])"}, fields]


def of_json(
    names: Sequence[str], *, as_json: Collection[int], own: Sequence[int], unnest: str | None, read: Iterable[str]
) -> list[Layer | str]:
    """The steps that add `fault`, and the values of some keys as `f0, f1, …`.

    Args:
        names: The keys.
        as_json: The positions of those whose values stay JSON; of others, scalars come as their text.
        own: The positions of those that can be fields of one struct.
        unnest: The key of the list whose items are the records; None where each document is one.
        read: The keys that expressions read.
    """
    # No mark is valid JSON, so nothing but a failure needs to look for one.
    invalid = (
        f"case when trim(coalesce(line, '')) = '' then {literal(BLANK)} {_marks('line')} else 'not valid JSON' end"
    )
    fault = (
        f"case when {TRUSTED} then null when line is null or not json_valid(line) then {invalid} "
        f"when not starts_with(ltrim(line), '{{') then 'not a JSON object' end"
    )
    steps: list[Layer | str] = [{"fault": fault}, {"good": "case when fault is null then line end"}]
    if unnest:
        steps += _unnested(unnest, read)
    structure = {names[i]: "JSON" if i in as_json else "VARCHAR" for i in own}
    if structure:
        steps.append({"j": f"from_json(good, {literal(json.dumps(structure, ensure_ascii=False))})"})
    fields = {}
    for i, name in enumerate(names):
        extract = "json_extract" if i in as_json else "json_extract_string"
        picked = f"{extract}(good, {pointer(name)})"
        fields[f"f{i}"] = f"j.{quoted(name)}" if i in own else picked
    return [*steps, fields]


def _unnested(key: str, read: Iterable[str]) -> list[Layer | str]:
    """Each item of a list as a record of its own, the document's other keys beside its own.

    A document without the list is a record itself. One whose list is empty is a record, too, so that it counts.
    What is long in the document, and read by no expression, is not repeated for each item.

    Args:
        key: The list's.
        read: The keys that expressions read.
    """
    path = pointer(key)
    is_list = f"good is not null and json_type(good, {path}) = 'ARRAY'"
    empty = f"case when {is_list} and json_array_length(good, {path}) = 0 then {literal(EMPTY)} else fault end"
    without = literal(json.dumps({key: None}, ensure_ascii=False))
    rest = f"case when {is_list} and fault is null then cast(json_merge_patch(good, {without}) as varchar) end"
    value = "json_extract(rest, '/' || replace(replace(k, '~', '~0'), '/', '~1'))"
    is_short = f"contains([{', '.join(map(literal, sorted(read)))}], k) or length(cast({value} as varchar)) <= {SHORT}"
    kept = f"cast(to_json(k) as varchar) || ':' || cast({value} as varchar)"
    pairs = f"list_transform(list_filter(json_keys(rest), lambda k: {is_short}), lambda k: {kept})"
    carried = f"case when length(rest) > {CARRIED} then '{{' || array_to_string({pairs}, ',') || '}}' else rest end"
    items = f"case when rest is null then [good] else cast(cast(json_extract(good, {path}) as json[]) as varchar[]) end"
    # Joined after the list is taken apart: before, all of a batch's items would hold a copy at the same time.
    joined = "case when rest is null then item else cast(json_merge_patch(rest, item) as varchar) end"
    is_item = "fault is not null or starts_with(ltrim(good), '{')"
    whole = f"case when {is_item} then fault else 'not a JSON object' end"
    return [
        f"select * replace ({empty} as fault) from {{from}}",
        {"rest": rest},
        {"items": items},
        f"select * replace ({carried} as rest) from {{from}}",
        "select * exclude (items, good), unnest(items) as item from {from}",
        f"select * exclude (rest, item), {joined} as good from {{from}}",
        f"select * replace (row_number() over () as rn, {whole} as fault) from {{from}}",
    ]


def raw_text(shape: Shape, names: Sequence[str]) -> str:
    """SQL for a record's own text, as far as it is still at hand."""
    if shape.layout == "parquet":
        row = ", ".join(f"{quoted(name)} := f{i}" for i, name in enumerate(names))
        return f"cast(to_json(struct_pack({row})) as varchar)"
    mark = literal(records.REJECTED)
    if shape.layout != "csv":
        text = "coalesce(good, line)" if shape.is_json else "line"
        return f"case when starts_with(line, {mark}) then split_part(line, {mark}, 3) else {text} end"
    dialect = shape.dialect
    quote = dialect.quote or '"'
    special = f"[\\n\\r{_in_class(quote)}{_in_class(dialect.delimiter)}]"
    fields = ", ".join(
        f"case when regexp_matches(f{i}, {literal(special)}) then {literal(quote)} || "
        f"replace(f{i}, {literal(quote)}, {literal(quote * 2)}) || {literal(quote)} "
        f"else coalesce(f{i}, '') end"
        for i in range(len(names))
    )
    joined = f"array_to_string([{fields}], {literal(dialect.delimiter)})"
    return f"case when starts_with(f0, {mark}) then split_part(f0, {mark}, 3) else {joined} end"


def pointer(*keys: str) -> str:
    """SQL for a JSON pointer (RFC 6901), which unlike a JSON path can name any key."""
    return literal("".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys))


def _marks(first: str) -> str:
    rejected, end = literal(records.REJECTED), literal(records.END)
    return (
        f"when starts_with({first}, {rejected}) then split_part({first}, {rejected}, 2) "
        f"when starts_with({first}, {end}) then {end}"
    )


def _unquoted(value: str) -> str:
    """SQL for a field of a W3C log without the quotes that a blank in it asks for."""
    quotes = f"length({value}) > 1 and starts_with({value}, '\"') and suffix({value}, '\"')"
    return f"case when {quotes} then replace(substr({value}, 2, length({value}) - 2), '\"\"', '\"') else {value} end"


def _in_class(character: str) -> str:
    return f"\\{character}" if character in "\\]^-" else character
