"""A dump's columns as SQL: found by the names that expressions use, as text, as numbers, as JSON."""

import duckdb

from orchestration.ingestion import cuts
from orchestration.ingestion.cuts import Layer, pointer
from orchestration.ingestion.expressions import Reference
from orchestration.ingestion.shapes import Column, Shape
from orchestration.sql import literal, quoted

RETYPE = "\ufdd3"
"""The fault of a row that proves a column of whole numbers to hold others; the column's name follows."""

_ZONE = r":\d\d(\.\d*)?\s*([Zz]|UTC|GMT|[+-]\d\d?(:?\d\d)?)\s*$"
"""How a text of a time ends that carries its zone."""


class Fields:
    """The columns of one shape, and the SQL that makes them of its records.

    Every column a query uses gets an alias, so that it is computed once. A number's alias has a guard: the
    reason to reject a row whose text is not that number.

    Args:
        shape: The shape.
        connection: For what only DuckDB knows about its types; no data is read.
        hashed: Whether the whole record is hashed, for which every JSON value must stay JSON.
        as_number: Columns whose sample held whole numbers only, but which are known to hold others.

    Attributes:
        by_sample: Whether a type was told by the sampled values themselves, which equal shapes need not share.
    """

    def __init__(
        self,
        shape: Shape,
        connection: duckdb.DuckDBPyConnection,
        *,
        hashed: bool = False,
        as_number: frozenset[str] = frozenset(),
    ) -> None:
        self.shape = shape
        self.columns = list(shape.columns)
        self.hashed = hashed
        self.guards: dict[str, str] = {}
        self._connection = connection
        self._as_number = as_number
        self._path_kinds = dict(shape.paths)
        self._plain: dict[tuple[str, str], str] = {}  # (SQL, type) to alias
        self._typed: dict[str, tuple[str, str]] = {}  # alias to (SQL, type)
        self._nested: set[int] = {i for i, column in enumerate(self.columns) if column.kind == "nested"}
        self._scalars: set[int] = set()
        self._read: set[str] = set()
        self.by_sample = False
        self._exact: dict[str, int] = {}
        self._folded: dict[str, int] = {}
        for position, column in enumerate(self.columns):
            self._exact.setdefault(column.name, position)
            self._folded.setdefault(column.name.casefold(), position)

    # ------------------------------------------------------------------ finding

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]

    def find(self, name: str) -> int | None:
        """The position of a column by its name, exact before regardless of case."""
        return self._exact.get(name, self._folded.get(name.casefold()))

    def lacks(self, reference: Reference) -> bool:
        """Whether no sampled record shows what a reference reads."""
        position = self.find(reference[0])
        if position is None:
            return True
        if len(reference) == 1:
            return False
        if self.shape.layout == "parquet":
            return self._type_of(_dotted(position, reference)) is None
        return not self.shape.is_json or reference not in self._path_kinds

    def want(self, reference: Reference, *, kept: bool, as_json: bool = False) -> None:
        """Prepare to read a column. A JSON key that no sampled record has may still come.

        Args:
            reference: What is read.
            kept: Whether the column stays among the row's properties besides, and so must stay JSON.
            as_json: Whether it is to be read as JSON even if no sampled record shows anything nested in it.
        """
        position = self.find(reference[0])
        self._read.add(reference[0] if position is None else self.columns[position].name)
        if position is None and self.shape.is_json:
            self.columns.append(Column(name=reference[0], kind="empty"))
            position = len(self.columns) - 1
            self._exact[reference[0]] = position
            self._folded.setdefault(reference[0].casefold(), position)
        if position is not None and self.shape.is_json:
            if len(reference) > 1 or as_json:
                self._nested.add(position)
            if not kept:
                self._scalars.add(position)

    def is_nested(self, position: int) -> bool:
        """Whether a column is read as JSON because of what is in it, or of how it is used."""
        return self.shape.is_json and position in self._nested

    # ------------------------------------------------------------------ reading

    def raw(self, reference: Reference) -> tuple[str, str]:
        """SQL for a reference's value as it stands in the record, and its type."""
        position = self.find(reference[0])
        if position is None or (self.lacks(reference) and not self.shape.is_json):
            return "cast(null as varchar)", "VARCHAR"
        column = self.columns[position]
        if column.kind == "native":
            sql = _dotted(position, reference)
            return sql, self._type_of(sql) or "VARCHAR"
        if len(reference) > 1:
            if self._path_kinds.get(reference) == "nested":
                return f"json_extract(f{position}, {pointer(*reference[1:])})", "JSON"
            return f"json_extract_string(f{position}, {pointer(*reference[1:])})", "VARCHAR"
        if not self.shape.is_json:
            return f"f{position}", "VARCHAR"
        if position in self._nested:
            return f"f{position}", "JSON"
        return (f"f{position} ->> '$'" if self.holds_json(position) else f"f{position}"), "VARCHAR"

    def text(self, reference: Reference) -> str:
        """The alias of a reference's value as it stands."""
        return self._plain.setdefault(self.raw(reference), f"r{len(self._plain)}")

    def number(self, reference: Reference, *, force: bool = False) -> str:
        """The alias of a reference's value as the number its sample shows; its text where it shows none.

        Args:
            reference: What to read.
            force: Take a text for a number, too.
        """
        kind = self.kind(reference)
        if kind == "empty" or (force and kind == "text"):
            kind = "number"
        number = {"integer": "BIGINT", "number": "DOUBLE"}.get(kind)
        return self._cast(reference, number) if number else self.text(reference)

    def detected(self, reference: Reference) -> str:
        """The alias of a reference's value as the date, time or truth value that all its sample is."""
        position = self.find(reference[0])
        if position is None or len(reference) > 1 or self.kind(reference) != "text":
            return self.number(reference)
        self.by_sample = True
        name = self.columns[position].name
        values = {str(record[name]) for record in self.shape.sample if record.get(name)}
        listed = ", ".join(f"({literal(value)})" for value in sorted(values))
        for kind in ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "BOOLEAN"):
            query = f"select bool_and(not ({_is_no('v', f'try_cast(v as {kind})', kind)})) from (values {listed}) t(v)"
            if values and self._connection.execute(query).fetchall()[0][0]:
                return self._cast(reference, kind)
        return self.text(reference)

    def kind(self, reference: Reference) -> str:
        """What the sample shows of a reference's values; where a file has types, what the type says."""
        position = self.find(reference[0])
        if position is not None and self.columns[position].kind == "native":
            if self.lacks(reference):
                return "empty"
            return "text" if self.raw(reference)[1] == "VARCHAR" else "native"
        if len(reference) > 1:
            kind = self._path_kinds.get(reference, "empty")
        else:
            kind = "empty" if position is None else self.columns[position].kind
        return "number" if kind == "integer" and reference[0] in self._as_number else kind

    def _cast(self, reference: Reference, kind: str) -> str:
        text = self.text(reference)
        alias = f"{text}_{kind.lower()}"
        if alias in self._typed:
            return alias
        self._typed[alias] = (f"try_cast({text} as {kind})", kind)
        name = ".".join(reference)
        expected = "a number" if kind in ("BIGINT", "DOUBLE") else f"a {kind.lower()}"
        said = complaint(name, text, expected)
        wrong = f"{text} is not null and ({_is_no(text, alias, kind)})"
        if kind == "BIGINT":
            # A cast to bigint rounds, and takes an exponent: neither is the number that was written.
            wrong = f"{text} is not null and ({alias} is null or contains({text}, '.') or contains(lower({text}), 'e'))"
            said = (
                f"case when try_cast({text} as double) is not null then {literal(RETYPE + reference[0])} "
                f"else {said} end"
            )
        self.guards[alias] = f"when {wrong} then {said}"
        return alias

    def forget(self, aliases: set[str]) -> None:
        """Drop typed aliases that turned out to be of no use."""
        for alias in aliases:
            self._typed.pop(alias, None)
            self.guards.pop(alias, None)

    @property
    def typed(self) -> set[str]:
        """The aliases of numbers and other typed values."""
        return set(self._typed)

    def null_row(self) -> str:
        """A relation with every alias, of its type, to bind expressions against."""
        columns = {alias: kind for (_, kind), alias in self._plain.items()}
        columns |= {alias: kind for alias, (_, kind) in self._typed.items()}
        return f"(select {', '.join(f'cast(null as {kind}) as {alias}' for alias, kind in columns.items()) or '1'})"

    def _type_of(self, sql: str) -> str | None:
        """The type of an expression over the fields of a file that has types; None where it has no meaning."""
        row = ", ".join(f"cast(null as {column.native}) as f{i}" for i, column in enumerate(self.columns))
        try:
            described = self._connection.execute(f"describe select {sql} from (select {row})").fetchall()
        except duckdb.Error:
            return None
        return str(described[0][1])

    # ------------------------------------------------------------------- layers

    def layers(self, unnest: str | None) -> list[Layer | str]:
        """The steps from records to aliases: `fault`, then `f0, f1, …`, then what expressions use."""
        steps = self._records(unnest)
        steps.append({alias: sql for (sql, _), alias in self._plain.items()})
        steps.append({alias: sql for alias, (sql, _) in self._typed.items()})
        return [step for step in steps if step]

    def _records(self, unnest: str | None) -> list[Layer | str]:
        if not self.shape.is_json:
            return cuts.of_records(self.shape)
        own = self.own_keys()
        as_json = {i for i in range(len(self.columns)) if self.holds_json(i)}
        return cuts.of_json(self.names, as_json=as_json, own=own, unnest=unnest, read=self._read)

    def own_keys(self) -> list[int]:
        """JSON columns that can be fields of a struct, to which names that differ by case alone are the same.

        Those are the first of such names, and not the empty one.
        """
        return [i for i, column in enumerate(self.columns) if column.name and self._folded[column.name.casefold()] == i]

    def holds_json(self, position: int) -> bool:
        """Whether a JSON column's field is JSON, rather than the text of a scalar that an expression takes."""
        return self.hashed or position in self._nested or position not in self._scalars


def _dotted(position: int, reference: Reference) -> str:
    return f"f{position}" + "".join(f".{quoted(part)}" for part in reference[1:])


def _is_no(text: str, cast: str, kind: str) -> str:
    """SQL for whether a text is none of a type: a cast to a date drops the time of day, and one to a time the zone."""
    wrong = f"{cast} is null"
    has_zone = f"regexp_matches({text}, {literal(_ZONE)})"
    match kind:
        case "DATE":
            return f"{wrong} or contains({text}, ':')"
        case "TIMESTAMP":
            return f"{wrong} or {has_zone}"
        case "TIMESTAMPTZ":
            return f"{wrong} or not {has_zone}"
        case "TIME":
            return f"{wrong} or regexp_matches({text}, '^\\s*\\d+-')"
        case _:
            return wrong


def complaint(name: str, value: str, expected: str) -> str:
    """SQL for a reason that shows the offending value."""
    return f"{literal(f'{name} is ')} || chr(39) || left({value}, 100) || chr(39) || {literal(f', not {expected}')}"
