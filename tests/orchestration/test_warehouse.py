"""The warehouse file, as it is opened."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.settings import DBT_PROJECT_DIR, Settings
from orchestration.warehouse import BYTES_A_THREAD, connect, threads_for


@pytest.mark.parametrize(
    ("in_warehouse", "in_lake", "threads"),
    [(0, 0, 1), (1.9, 0, 1), (1.2, 0.9, 2), (0, 3.1, 3), (9, 9, 4)],
)
def test_a_thread_is_taken_only_where_there_is_work_for_it(
    in_warehouse: float, in_lake: float, threads: int, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, threads=4)
    for path, parts in ((settings.warehouse, in_warehouse), (settings.lake / "events" / "a.parquet", in_lake)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(int(parts * BYTES_A_THREAD))
    assert threads_for(settings) == threads


def test_duckdb_works_with_as_many_threads(tmp_path: Path) -> None:
    with connect(Settings(data_dir=tmp_path, threads=4)) as connection:
        assert connection.execute("select current_setting('threads')").fetchall() == [(1,)]


ROW_GROUP = 122_880


def rows_that_move(path: Path, config: dict[str, Any]) -> int:
    """How many rows of a table have another address once other tables were written to, in one opening of the file."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table kept as select range as number from range({8 * ROW_GROUP})")
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"delete from kept where number < {7 * ROW_GROUP} and number % 10 < 3")
        connection.execute(f"delete from kept where number >= {7 * ROW_GROUP} and number % 20 = 0")
    with duckdb.connect(str(path), config=config) as connection:
        connection.execute("create temp table noted as select rowid as address, number from kept")
        connection.execute("create table written as select md5(cast(range as varchar)) as hash from range(0)")
        for _ in range(6):
            connection.execute("insert into written select md5(cast(range as varchar)) from range(100000)")
        query = """
            select count(*) from noted left join kept on noted.address = kept.rowid
            where noted.number is distinct from kept.number
        """
        return int(connection.execute(query).fetchall()[0][0])


def test_rows_keep_their_addresses_while_models_hand_them_on(tmp_path: Path) -> None:
    """A checkpoint may move what an earlier one left half merged."""
    profiles = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    config = profiles["avila"]["outputs"]["warehouse"]["config_options"]
    assert rows_that_move(tmp_path / "as by default.duckdb", {}) > 0
    plain = {name: value for name, value in config.items() if "{{" not in str(value)}
    assert rows_that_move(tmp_path / "as models have it.duckdb", plain) == 0
