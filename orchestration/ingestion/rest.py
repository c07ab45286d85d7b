"""What a row holds besides its canonical columns, as SQL: its properties, and a text of all of it to hash."""

import json
from collections.abc import Mapping

from orchestration.ingestion.cuts import Layer
from orchestration.ingestion.expressions import Expression, Reference
from orchestration.ingestion.fields import Fields
from orchestration.sql import literal


class Rest:
    """The rest of a row of one shape.

    Args:
        fields: The row's columns.
        expressions: Those of the source, by canonical column.
        optional: The canonical columns whose expression a preset gave.

    Attributes:
        layers: What the properties are made of where the row has an object of its own for them, by step.
    """

    def __init__(self, fields: Fields, expressions: Mapping[str, Expression], optional: frozenset[str]) -> None:
        self._fields = fields
        self._expressions = expressions
        self._optional = optional
        self.layers: list[Layer] = [{}, {}]

    def taken(self) -> set[Reference]:
        """What is not kept beside, as columns are that are only computed with, or read in part.

        A canonical column takes a column that it is; properties take each that they read the whole of. A preset
        says itself what is worth keeping of all that it reads.
        """
        taken: set[Reference] = set()
        of_preset = self._optional if "properties" in self._optional else frozenset()
        for key, expression in self._expressions.items():
            if expression.bare and len(expression.bare) == 1:
                taken.add(expression.bare)
            if key == "properties":
                taken |= expression.whole
            if key in of_preset:
                taken |= expression.references
        return taken

    def _consumed(self) -> set[int]:
        positions = {self._fields.find(reference[0]) for reference in self.taken()}
        return {position for position in positions if position is not None}

    def properties(self, own: bool = False) -> str:
        """A JSON object of the columns not consumed, by name, without the null ones.

        Args:
            own: Whether `own_object` is laid over it: columns that are named as one of its keys are left out.
        """
        consumed = self._consumed()
        pairs = [self._pair(i, but="own_keys" if own else "") for i in self._by_name() if i not in consumed]
        inner = "case when len(own_keys) > 0 then substr(own_object, 2, length(own_object) - 2) end"
        known = f"'{{' || concat_ws(',', {', '.join([*pairs, inner if own else 'null'])}) || '}}'"
        if own and not pairs:
            known = "own_object"
        if not self._fields.shape.is_json:
            return known
        names = [literal(self._fields.columns[i].name) for i in sorted(consumed)]
        conditions = [f"k not in ({', '.join(names)})"] if names else []
        if own:
            conditions.append("not contains(own_keys, k)")
        listed = f"array_to_string({_pairs(' and '.join(conditions) or 'true')}, ',')"
        every = f"'{{' || {listed} || '}}'"
        if own:
            every = f"'{{' || concat_ws(',', nullif({listed}, ''), {inner}) || '}}'"
        return f"case when {self._only_known_keys()} then {known} else {every} end"

    def properties_under_own(self) -> str:
        """The rest of the row, and laid over it, key by key, what the expression for properties gives.

        What is no object is the value of a key `properties`. Joining texts, unlike a merge patch, keeps nulls.
        """
        # Trimming is dear, so it waits until a text has failed as it stands.
        trimmed = "trim(own_json, ' ' || chr(9) || chr(10) || chr(13))"
        self.layers[0]["own_object"] = (
            "case when ord(own_json) = 123 and suffix(own_json, '}') then own_json "
            f"when own_json is null or {trimmed} = 'null' then '{{}}' when ord({trimmed}) = 123 then {trimmed} "
            "else '{\"properties\":' || own_json || '}' end"
        )
        self.layers[1]["own_keys"] = "json_keys(own_object)"
        return self.properties(own=True)

    def content(self) -> str:
        """A text of all a row holds, wherever it stands, in whatever order, with or without null columns."""
        pairs = ", ".join(map(self._pair, self._by_name()))
        known = f"concat_ws(chr(31), {pairs})" if pairs else "''"
        if not self._fields.shape.is_json:
            return known
        every = f"array_to_string({_pairs('true')}, chr(31))"
        return f"case when {self._only_known_keys()} then {known} else {every} end" if self._fields.hashed else every

    def _pair(self, position: int, *, but: str = "") -> str:
        name = self._fields.columns[position].name
        pair = f"{_key(name)} || {self._json_value(position)}"
        return f"case when not contains({but}, {literal(name)}) then {pair} end" if but else pair

    def _by_name(self) -> list[int]:
        positions = range(len(self._fields.columns))
        return sorted(positions, key=lambda position: self._fields.columns[position].name)

    def _json_value(self, position: int) -> str:
        if self._fields.shape.is_json and self._fields.holds_json(position):
            return f"cast(f{position} as varchar)"
        return f"cast(to_json(f{position}) as varchar)"

    def _only_known_keys(self) -> str:
        """Whether every key of a JSON row is a column: by number where none is null, else by name.

        The sample does not show the keys of rows beyond it. Counting costs a third of comparing names.
        """
        own = self._fields.own_keys()
        filled = " + ".join(f"cast(f{i} is not null as tinyint)" for i in own) or "0"
        names = ", ".join(literal(self._fields.columns[i].name) for i in own) or "''"
        return (
            f"good is null or len(json_keys(good)) = {filled} "
            f"or len(list_filter(json_keys(good), lambda k: k not in ({names}))) = 0"
        )


def _key(name: str) -> str:
    return literal(json.dumps(name, ensure_ascii=False) + ":")


def _pairs(condition: str) -> str:
    """Each key of a JSON row, by name, with its value, as texts: what no fixed list of columns can do."""
    value = "json_extract(good, '/' || replace(replace(k, '~', '~0'), '/', '~1'))"
    keys = "list_sort(list_distinct(json_keys(good)))"
    wanted = f"list_filter({keys}, lambda k: {condition} and json_type({value}) <> 'NULL')"
    return f"list_transform({wanted}, lambda k: cast(to_json(k) as varchar) || ':' || {value})"
