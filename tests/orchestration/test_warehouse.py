"""The warehouse file, as it is opened."""

from pathlib import Path

import pytest

from orchestration.settings import Settings
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
