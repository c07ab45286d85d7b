"""A source's expressions bound to one shape: the query that makes canonical events of its records."""

import difflib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

import duckdb

from orchestration.ingestion import conversions, cuts
from orchestration.ingestion.conversions import ConversionError
from orchestration.ingestion.cuts import TRUSTED, Layer
from orchestration.ingestion.expressions import Expression, ExpressionError, Reference, path_hint, spelled
from orchestration.ingestion.fields import Fields, complaint
from orchestration.ingestion.json_shapes import unnest_hint
from orchestration.ingestion.rest import Rest
from orchestration.ingestion.shapes import Shape
from orchestration.ingestion.sources import (
    AMOUNT_COLUMNS,
    EVENT_COLUMNS,
    IDENTITY_COLUMNS,
    MAPPABLE_COLUMNS,
    REQUIRED_COLUMNS,
    TEXT_COLUMNS,
    TIME_COLUMNS,
    Source,
)
from orchestration.sql import literal, quoted

MAX_REVENUE = 10**12
"""What one event's revenue stays below: a hundred of them, added up, still fit the marts' decimal(18,4)."""
VALUES_SHOWN = 4
VALUE_SHOWN = 60
FILTERED = ""
"""The verdict on a row that the source's `where` leaves out."""
_OBJECT = "case when ltrim({0})[1] = '{{' and json_valid({0}) then {0} else to_json({0}) end"
"""A text of a dump's own properties, where nothing is declared: JSON if it is an object's, else just a text."""
_FROM_BRACE_TO_BRACE = "ord(line) = 123 and suffix(line, '}')"


class MappingError(Exception):
    """A declared expression that does not fit a dump; the message names source, key, and what there is."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Canonical events of one shape's records.

    Attributes:
        missing: What expressions read that no sampled record shows, by the key of the expression.
        blind: The keys of those that find nothing of what they read.
        columns: The dump's columns that were looked through.
        by_sample: Whether it is made for one file's sample, and not for all files of the shape.
    """

    steps: tuple[str, ...]
    raw_text: str
    missing: dict[str, Reference] = field(default_factory=dict)
    blind: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    by_sample: bool = False

    def sql(
        self, relation: str, *, witness: str, source: str, dump_file: str, load_id: str, trusting: bool = False
    ) -> str:
        """The whole query.

        Args:
            relation: From `readers.relation`.
            witness: A function `(row, reason, raw text)` that returns null, called for every rejected row.
            source: The source's name.
            dump_file: The file as the lake calls it.
            load_id: The load it becomes.
            trusting: Take a line from brace to brace for valid JSON, and fail if one is not: the proof is a
                parse of its own.
        """
        constants = {"source": source, "dump_file": dump_file, "load_id": load_id}
        events = {name: name for name in EVENT_COLUMNS}
        events |= {name: literal(value) for name, value in constants.items()}
        events["dump_row"] = "cast(rn as bigint)"
        before, steps = "records", [f"records as ({relation})"]
        for number, step in enumerate(self.steps, start=1):
            step = step.replace("{from}", before).replace(TRUSTED, _FROM_BRACE_TO_BRACE if trusting else "false")
            steps.append(f"step_{number} as ({step})")
            before = f"step_{number}"
        return (
            f"with {', '.join(steps)} select {', '.join(f'{sql} as {name}' for name, sql in events.items())} "
            f"from {before} where case when verdict is null then true when verdict = {literal(FILTERED)} "
            f"then false else {witness}(rn, verdict, {self.raw_text}) end"
        )


class Mapping:
    """One source's expressions, and the queries they make for each shape of its files.

    Args:
        source: The source.
        connection: For parsing and binding; no data is read.

    Attributes:
        is_trusted: Whether no line of the source has broken the trust that it is JSON.

    Raises:
        MappingError: An expression is not usable on any dump.
    """

    def __init__(self, source: Source, connection: duckdb.DuckDBPyConnection) -> None:
        self.source = source
        self._connection = connection
        self._lock = threading.Lock()
        self._queries: dict[tuple[Shape, frozenset[str]], Query] = {}
        self.is_trusted = True
        self.expressions = {key: self._parse(key, text) for key, text in source.columns.items()}
        self.where = self._parse("where", source.where) if source.where else None

    @property
    def wanted(self) -> frozenset[str]:
        """The names of all columns that the expressions use, and of those without which a dump is refused."""
        used = [*self.expressions.values(), *([self.where] if self.where else [])]
        own = frozenset(name for name in REQUIRED_COLUMNS if name not in self.expressions)
        return own.union(reference[0] for expression in used for reference in expression.references)

    def query(self, shape: Shape, *, as_number: frozenset[str] = frozenset()) -> Query:
        """The query for the files of one shape.

        Args:
            shape: From `inspection.inspect`.
            as_number: Columns whose sample held whole numbers only, but which are known to hold others.

        Raises:
            MappingError: An expression does not fit the shape, or a required column has none.
        """
        key = (shape, as_number)
        with self._lock:
            if key not in self._queries or self._queries[key].by_sample:
                self._queries[key] = _Binding(self, shape, as_number, self._connection).query()
            return self._queries[key]

    def _parse(self, key: str, text: str) -> Expression:
        try:
            return Expression(text, self._connection)
        except ExpressionError as error:
            raise MappingError(f"source {self.source.name}, {shown(key)} `{text}`: {error}") from None


def shown(key: str) -> str:
    """A key of a source as `avila.yml` spells it."""
    return key if key == "where" else f"columns.{key}"


class _Binding:
    """One mapping against one shape."""

    def __init__(
        self, mapping: Mapping, shape: Shape, as_number: frozenset[str], connection: duckdb.DuckDBPyConnection
    ) -> None:
        self.source = mapping.source
        self.connection = connection
        self.shown = [column.name for column in shape.columns]
        self.where = mapping.where
        self.expressions = dict(mapping.expressions)
        by_name = {column.name.casefold(): column.name for column in reversed(shape.columns)}
        # As in an expression, the exact name goes first: one record's Page must not take page from all others.
        by_name |= {column.name: column.name for column in shape.columns}
        texts = {column.name for column in shape.columns if column.native == "VARCHAR" and not shape.is_json}
        # A JSON key of a canonical name may come in later rows, whatever the sample shows.
        self.awaited: set[str] = set()
        for name in MAPPABLE_COLUMNS:
            if name in self.expressions or not (name in by_name or shape.is_json):
                continue
            text = quoted(by_name.get(name, name))
            if name == "properties" and by_name.get(name) in texts:
                text = _OBJECT.format(text)
            self.expressions[name] = Expression(text, connection)
            if name not in by_name:
                self.awaited.add(name)
        self.fields = Fields(shape, connection, hashed=self._lacks_ids(shape), as_number=as_number)
        self.missing: dict[str, Reference] = {}
        self.complaints: list[str] = []
        self.rest = Rest(self.fields, self.expressions, self.source.optional_columns)
        # What the row itself gives for columns that are made of more: a hash, or the rest of the row.
        self.own: Layer = {}

    def _lacks_ids(self, shape: Shape) -> bool:
        """Whether some sampled record has no id. Else a hash, if one is needed after all, costs its row far more."""
        if "event_id" not in self.expressions:
            return True
        names = {reference[0] for reference in self.expressions["event_id"].references}
        return bool(names) and any(not any(record.get(name) for name in names) for record in shape.sample)

    def query(self) -> Query:
        named = [*self.expressions.items(), *([("where", self.where)] if self.where else [])]
        lacks = self.fields.lacks
        blind = frozenset(key for key, e in named if e.references and all(map(lacks, e.references)))
        taken = {reference[0] for reference in self.rest.taken()}
        for key, expression in named:
            for reference in sorted(expression.references):
                if lacks(reference) and key not in self.awaited:
                    self.missing.setdefault(key, reference)
                # Whether a column is read as JSON must be settled before the first use.
                as_json = key == "properties" and key not in self.source.columns
                self.fields.want(reference, kept=reference[0] not in taken, as_json=as_json)
        self._require_columns()
        values = {key: self._value(key, expression) for key, expression in named}
        if "where" in values and values["where"][1] != "BOOLEAN":
            self._refuse("where", f"expected a condition, but it is a {values['where'][1].lower()}")

        evaluated = {f"x_{key}": sql for key, (sql, _) in values.items()}
        events = {name: self._event(name, values.get(name)) for name in MAPPABLE_COLUMNS}
        verdict = self._verdict({key for key, (sql, _) in values.items() if sql.startswith("try(")})
        fields = self.fields.layers(self.source.unnest)
        layers = [*fields, evaluated, self.own, *self.rest.layers, events, {"verdict": verdict}]
        return Query(
            steps=tuple(_step(layer) for layer in layers if layer),
            raw_text=cuts.raw_text(self.fields.shape, self.fields.names),
            missing=self.missing,
            blind=blind,
            columns=tuple(self.shown),
            by_sample=self.fields.by_sample,
        )

    def _require_columns(self) -> None:
        if not self.shown:
            return  # an empty file, or one of which no record can be read, shows nothing that could be wrong
        given = self.expressions.keys() - self.awaited
        lacking = [name for name in REQUIRED_COLUMNS if name not in given]
        if not any(name in given for name in IDENTITY_COLUMNS):
            lacking.append(" or ".join(IDENTITY_COLUMNS))
        if lacking:
            raise MappingError(
                f"source {self.source.name}: `columns` gives no {lacking[0]}, and the dump has no column of "
                f"that name; its columns are {listed(self.shown)}{unnest_hint(self.fields.shape, self.source)}"
            )

    def _refuse(self, key: str, why: str) -> NoReturn:
        text = self.where.text if key == "where" and self.where else self.expressions[key].text
        raise MappingError(
            f"source {self.source.name}, {shown(key)} `{text}`: {why}; the dump's columns are {listed(self.shown)}"
        )

    def _value(self, key: str, expression: Expression) -> tuple[str, str]:
        """SQL over the fields' aliases for an expression, and its type.

        A column is its text wherever text will do, so that an id keeps its zeros and a row means the same in
        every file; it is a number in arithmetic and in comparisons with one, or of columns none of which is
        text. Where that does not bind, it is a number throughout, then text throughout, then of the type
        detected in the sample, and at last a number whatever the sample shows: in arithmetic only, or throughout.

        An expression that may fail on a row is wrapped so that a failure, unlike a null, is told apart.
        """
        fields = self.fields
        if expression.bare is not None:
            return fields.raw(expression.bare)
        texts = expression.texts(fields.kind)
        variants: tuple[Callable[[Reference, bool], str], ...] = (
            lambda reference, as_number: (fields.number if as_number and reference not in texts else fields.text)(
                reference
            ),
            lambda reference, _: fields.number(reference),
            lambda reference, _: fields.text(reference),
            lambda reference, _: fields.detected(reference),
            lambda reference, as_number: fields.number(reference, force=True) if as_number else fields.text(reference),
            lambda reference, _: fields.number(reference, force=True),
        )
        problem = ""
        for variant in variants:
            before = fields.typed
            sql = expression.render(variant)
            try:
                bound = self.connection.execute(f"describe select {sql} from {fields.null_row()}").fetchall()
            except duckdb.Error as error:
                said = str(error).splitlines()[0]
                problem = problem or said + path_hint(said, expression.text)
                fields.forget(fields.typed - before)
                continue
            return (f"try(struct_pack(v := {sql}))" if expression.references else sql), str(bound[0][1])
        return self._refuse(key, problem)

    def _event(self, name: str, value: tuple[str, str] | None) -> str:
        """SQL for one canonical column; what it cannot convert it adds to the complaints."""
        if value is None:
            if name == "properties":
                return self.rest.properties()
            return f"md5({self.rest.content()})" if name == "event_id" else f"cast(null as {EVENT_COLUMNS[name]})"
        evaluated, kind = value
        sql = f"x_{name}.v" if evaluated.startswith("try(") else f"x_{name}"
        text = conversions.to_text(sql, kind)
        try:
            if name == "event_id":
                self.own["own_id"] = text
                return f"case when own_id is null then md5({self.rest.content()}) else own_id end"
            if name in TEXT_COLUMNS:
                if name not in IDENTITY_COLUMNS:
                    return text
                return conversions.to_identity(text, self.source.placeholder_ids)
            if name in TIME_COLUMNS:
                converted = conversions.to_time(sql, kind, self.source.timezone)
                expected = "a timestamp that can be read; give a strptime expression"
                is_number = rf"regexp_full_match({text}, '\s*-?\d+(\.\d+)?\s*')"
                said = complaint(name, text, "an epoch of 1980 or later; give a strptime or to_timestamp expression")
                self.complaints.append(f"when {name} is null and {is_number} then {said}")
            elif name in AMOUNT_COLUMNS:
                converted = conversions.to_amount(sql, kind)
                expected = (
                    "a number of at most 14 digits before and 4 after the point; "
                    "give a replace expression for what is spelled otherwise"
                )
            else:
                self.own["own_json"] = conversions.to_json(sql, kind)
                said = complaint(name, text, "JSON")
                self.complaints.append(f"when own_json is null and {text} is not null then {said}")
                return self.rest.properties_under_own()
        except ConversionError as error:
            self._refuse(name, str(error))
        said = complaint(name, text, expected)
        self.complaints.append(f"when {name} is null and {text} is not null then {said}")
        if name in TIME_COLUMNS:
            outside = f"{name} < timestamp '1970-01-01' or {name} >= timestamp '2100-01-01'"
            said = complaint(name, f"cast({name} as varchar)", "between 1970-01-01 and 2100-01-01")
            self.complaints.append(f"when {outside} then {said}")
        if name == "revenue":
            said = complaint(name, text, f"below {MAX_REVENUE:,} either way; is it an amount, and in its usual unit?")
            self.complaints.append(f"when abs({name}) >= {MAX_REVENUE} then {said}")
        return converted

    def _verdict(self, fallible: set[str]) -> str:
        """Why a row is not kept; null when it is."""
        cases = ["when fault is not null then fault", *self.fields.guards.values()]
        if self.where:
            failed = "x_where is null" if "where" in fallible else "false"
            condition = "x_where.v" if "where" in fallible else "x_where"
            cases.append(f"when {failed} then {self._failure('where', self.where)}")
            cases.append(f"when {condition} is not true then {literal(FILTERED)}")
        cases += [
            f"when x_{name} is null then {self._failure(name, expression)}"
            for name, expression in self.expressions.items()
            if name in fallible
        ]
        cases += self.complaints
        cases += [f"when {name} is null then '{name} is missing'" for name in REQUIRED_COLUMNS]
        nobody = " and ".join(f"{name} is null" for name in IDENTITY_COLUMNS)
        cases.append(f"when {nobody} then 'no {' and no '.join(IDENTITY_COLUMNS)}'")
        return f"case {' '.join(cases)} end"

    def _failure(self, key: str, expression: Expression) -> str:
        """SQL for the reason of a row on which an expression fails: what it read there, in part."""
        what = "condition" if key == "where" else "expression"
        read = sorted(expression.references)
        values = [
            f"{literal('.'.join(reference) + ' is ')} || coalesce(chr(39) || "
            f"left(cast({self.fields.text(reference)} as varchar), {VALUE_SHOWN}) || chr(39), 'null')"
            for reference in read[:VALUES_SHOWN]
        ]
        more = [literal(f"and {len(read) - VALUES_SHOWN} more")] if len(read) > VALUES_SHOWN else []
        return f"{literal(f'{key}: the {what} fails on this row: ')} || concat_ws(', ', {', '.join([*values, *more])})"


def _step(layer: Layer | str) -> str:
    if isinstance(layer, str):
        return layer
    return f"select *, {', '.join(f'{sql} as {name}' for name, sql in layer.items())} from {{from}}"


def listed(names: Iterable[str]) -> str:
    """Some names, for a message."""
    every = list(names)
    more = f" and {len(every) - 30} more" if len(every) > 30 else ""
    return (", ".join(every[:30]) or "none at all") + more


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the names most like one that is not known."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(map(spelled, near))}?" if near else ""
