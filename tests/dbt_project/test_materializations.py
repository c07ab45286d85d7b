"""What has a model's name gives way to what the model has become, whole or not at all."""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect, run_dbt
from tests.dbt_project.histories import Project

MODEL = "int_user_totals"
TABLE = f"intermediate.{MODEL}"


@cache
def project() -> Project:
    return Project.parse({})


class Model:
    """A model of two columns, as a test writes it."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root)
        self._parsed = project().parsed.deepcopy()
        self.node = self._parsed.nodes[f"model.avila.{MODEL}"]
        self.node.columns = {name: self.node.columns[name] for name in ("user_key", "events")}
        self.node.config.meta = {}
        self.node.config.persist_docs = {"relation": True, "columns": True}
        with connect(self.settings):
            pass

    def build(self, sql: str, *, materialized: str) -> None:
        self.node.raw_code, self.node.config.materialized = sql, materialized
        command = ["run", "--no-write-json", "--select", MODEL]
        run_dbt(command, self.settings, project().variables, parsed=self._parsed)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def kind(self) -> str:
        query = f"select table_type from information_schema.tables where table_name = '{MODEL}'"
        [(kind,)] = self.ask(query)
        return str(kind)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(tmp_path)


def rows(events: str, *, of: str = "'ada'") -> str:
    return f"select {of} as user_key, {events} as events"


KINDS = {"table": "BASE TABLE", "view": "VIEW", "incremental": "BASE TABLE"}


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_each_kind_takes_the_place_of_each(model: Model, before: str, after: str) -> None:
    model.build(rows("1"), materialized=before)
    assert (model.kind(), model.ask(f"from {TABLE}")) == (KINDS[before], [("ada", 1)])
    model.build(rows("2"), materialized=after)
    assert (model.kind(), model.ask(f"from {TABLE}")) == (KINDS[after], [("ada", 2)])


@pytest.mark.parametrize("after", KINDS)
def test_what_fails_leaves_what_was_there(model: Model, after: str) -> None:
    model.build(rows("1"), materialized="table")
    failing = rows("no_such_column") if after == "view" else rows("cast(error('no such luck') as integer)")
    with pytest.raises(DbtFailed):
        model.build(failing, materialized=after)
    assert (model.kind(), model.ask(f"from {TABLE}")) == ("BASE TABLE", [("ada", 1)])


def test_rows_that_share_a_key_are_refused(model: Model) -> None:
    """One of them is what is stored: taken for the others' earlier state, it would be lost."""
    model.build(rows("1"), materialized="incremental")
    with pytest.raises(
        DbtFailed, match=r"unique_key names \(user_key\) must tell the rows apart, but several have ada"
    ):
        model.build(f"{rows('1')} union all {rows('2')}", materialized="incremental")
    assert model.ask(f"from {TABLE}") == [("ada", 1)]


@pytest.mark.parametrize(
    ("stored", "new", "fits"),
    [
        ("cast(1 as decimal(18, 4))", "cast(2 as decimal(18, 4))", True),
        ("cast(1 as decimal(18, 4))", "cast(2 as decimal(38, 4))", False),
        ("[cast('2025-01-01' as timestamp)]", "[cast('2025-01-02' as timestamp)]", True),
        ("[cast('2025-01-01' as timestamp)]", "[cast('2025-01-02' as date)]", False),
        ("cast('a' as enum ('a', 'b'))", "cast('b' as enum ('a', 'b'))", True),
        ("cast('a' as enum ('a', 'b'))", "cast('b' as enum ('b'))", False),
        ("1", "2 as more, 3", False),
    ],
)
def test_what_is_stored_takes_in_only_columns_that_it_has(model: Model, stored: str, new: str, fits: bool) -> None:
    model.node.columns = {}
    model.build(rows(stored), materialized="incremental")
    before = model.ask(f"from {TABLE}")
    if fits:
        model.build(rows(new), materialized="incremental")
        assert model.ask(f"from {TABLE}") != before
        return
    with pytest.raises(DbtFailed, match="The stored table has other columns: "):
        model.build(rows(new), materialized="incremental")
    assert model.ask(f"from {TABLE}") == before


@pytest.mark.parametrize("materialized", KINDS)
def test_descriptions_arrive_and_so_do_edited_ones(model: Model, materialized: str) -> None:
    for said in ("It's a user's total.", "It's what a user has done."):
        model.node.description, model.node.columns["events"].description = said, f"{said} $$"
        model.build(rows("1"), materialized=materialized)
        [(of_column,)] = model.ask(
            f"select comment from duckdb_columns() where {is_model()} and column_name = 'events'"
        )
        [(of_table,)] = model.ask(
            f"select comment from duckdb_tables() where {is_model()} "
            f"union all select comment from duckdb_views() where {is_model('view_name')}"
        )
        assert (of_table, of_column) == (said, f"{said} $$")


def test_a_description_of_no_column_is_told(model: Model) -> None:
    with pytest.raises(DbtFailed, match="not present in the database: events"):
        model.build("select 'ada' as user_key", materialized="table")


def is_model(column: str = "table_name") -> str:
    return f"{column} = '{MODEL}'"
