"""What is measured, said and handed to Prometheus of a run, whatever came of it."""

import io
import json
import logging
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.nights.logs import JsonLines, Plain, Voice
from orchestration.nights.metrics import Summary, write_metrics
from orchestration.nights.runs import finish_run, note_steps, start_run, status_of
from orchestration.nights.stopwatch import Came, Measured, Stopwatch, running, start, stop, utc_now
from orchestration.settings import Settings
from orchestration.terminal import terminal
from orchestration.warehouse import connect
from tests.orchestration.figures import figures_of

MB = 1 << 20


@pytest.fixture
def stopwatch() -> Iterator[Stopwatch]:
    made = start("run")
    yield made
    stop("run")


def held(size: int) -> mmap.mmap:
    """So many bytes of memory, each page of them written to: what Python frees may be held yet, and be given again."""
    memory = mmap.mmap(-1, size)
    for place in range(0, size, mmap.PAGESIZE):
        memory[place] = 1
    return memory


def by_name(stopwatch: Stopwatch) -> dict[str, Measured]:
    return {step.step: step for step in stopwatch.steps}


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_parts_are_measured_within_their_whole(stopwatch: Stopwatch) -> None:
    stopwatch.begin("outer")
    spin(0.05)
    with stopwatch.part("inner"):
        spin(0.1)
        time.sleep(0.1)
    stopwatch.end("outer", rows=3)
    steps = by_name(stopwatch)
    assert (steps["inner"].part_of, steps["outer"].part_of, steps["outer"].rows) == ("outer", None, 3)
    assert 0.1 <= steps["inner"].cpu_seconds <= steps["outer"].cpu_seconds - 0.05
    assert steps["inner"].seconds >= 0.2
    assert steps["outer"].seconds >= steps["inner"].seconds + 0.05
    assert stopwatch.whole().seconds >= steps["outer"].seconds


def test_memory_is_of_the_step_that_took_it_and_of_those_around_it(stopwatch: Stopwatch) -> None:
    """The large part is larger than whatever this process held before, the later one is not."""
    large = Stopwatch("other").whole().peak_memory_bytes + 100 * MB
    stopwatch.begin("outer")
    with stopwatch.part("large"):
        held(large).close()
    with stopwatch.part("medium"), held(60 * MB):
        time.sleep(1)
    with stopwatch.part("small"):
        pass
    stopwatch.end("outer")
    peaks = {name: step.peak_memory_bytes for name, step in by_name(stopwatch).items()}
    assert peaks["large"] >= large
    assert peaks["outer"] == peaks["large"] == stopwatch.whole().peak_memory_bytes
    assert peaks["small"] + 50 * MB < peaks["medium"] < peaks["large"] - 50 * MB


def test_a_step_that_fails_ends_what_had_begun_within_it(stopwatch: Stopwatch) -> None:
    stopwatch.begin("outer")
    stopwatch.begin("inner")
    stopwatch.end("outer", status="failed")
    stopwatch.end("inner")
    assert {name: (step.part_of, step.status) for name, step in by_name(stopwatch).items()} == {
        "inner": ("outer", "failed"),
        "outer": (None, "failed"),
    }


def test_a_step_that_is_tried_again_is_one_and_waits_for_itself_alone(stopwatch: Stopwatch) -> None:
    stopwatch.begin("a")
    time.sleep(0.02)
    stopwatch.wait("a")
    with stopwatch.part("b"):
        time.sleep(0.2)
    stopwatch.begin("a")
    with stopwatch.part("c"):
        pass
    stopwatch.end("a", rows=3)
    measured = by_name(stopwatch)
    assert [(step.step, step.part_of) for step in stopwatch.steps] == [("a", None), ("b", None), ("c", "a")]
    assert (measured["a"].status, measured["a"].rows) == ("success", 3)
    assert 0.02 <= measured["a"].seconds < 0.2
    assert measured["a"].finished_at >= measured["b"].finished_at >= measured["a"].started_at


def of_dbt(name: str, node: str, status: str = "success", kind: str = "model") -> SimpleNamespace:
    relation = SimpleNamespace(schema="marts", alias=node)
    info = SimpleNamespace(resource_type=kind, node_name=node, node_relation=relation, node_status=status)
    return SimpleNamespace(info=SimpleNamespace(name=name), data=SimpleNamespace(node_info=info))


def test_models_of_dbt_are_parts_and_brief_tests_are_one(stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.nights.stopwatch.BRIEF_SECONDS", 0.1)
    stopwatch.begin("dbt_models")
    nodes = [("users", "model", "success", 0), ("quick", "test", "fail", 0), ("slow", "test", "pass", 0.15)]
    for node, kind, status, seconds in [*nodes, ("quick too", "test", "pass", 0)]:
        stopwatch.note_node(of_dbt("NodeStart", node, kind=kind))
        time.sleep(seconds)
        stopwatch.note_node(of_dbt("NodeFinished", node, status, kind))
        stopwatch.note_node(of_dbt("LogTestResult", node, status, kind))
    stopwatch.end("dbt_models")
    stopwatch.note_rows("marts.users", 7)
    steps = by_name(stopwatch)
    assert {name: (step.part_of, step.status) for name, step in steps.items()} == {
        "marts.users": ("dbt_models", "success"),
        "brief tests of dbt_models": ("dbt_models", "failed"),
        "slow": ("dbt_models", "success"),
        "dbt_models": (None, "success"),
    }
    assert steps["marts.users"].rows == 7
    assert steps["slow"].seconds >= 0.15


def test_a_run_that_is_over_is_measured_no_more() -> None:
    threads = threading.active_count()
    start("a run")
    assert running("a run") is not None
    stop("a run")
    assert running("a run") is running(None) is None
    assert threading.active_count() == threads


def test_records_of_before_there_were_steps_stay_as_they_are(tmp_path: Path, stopwatch: Stopwatch) -> None:
    settings = Settings(data_dir=tmp_path)
    with connect(settings) as connection:
        connection.execute("drop table ops.runs")
        connection.execute(
            "create table ops.runs as select 'old' as run_id, timestamp '2025-01-01' as started_at, "
            "timestamp '2025-01-01' as finished_at, 60::double as seconds, 'published' as status"
        )
        connection.execute("insert into ops.publications (run_id, publication_number) values ('old', 1)")
    with stopwatch.part("a"):
        pass
    with connect(settings) as connection:
        start_run(connection, run_id="run", started_at=utc_now())
        for _ in range(2):
            note_steps(connection, run_id="run", steps=stopwatch.steps, whole=stopwatch.whole())
        finish_run(connection, run_id="run", finished_at=utc_now(), status="blocked")
        assert status_of(connection, "run") == "blocked"
        assert status_of(connection, "none") is None
        query = "select run_id, step, status, cpu_seconds is not null from ops.runs order by run_id, step nulls first"
        assert connection.execute(query).fetchall() == [
            ("old", None, "published", False),
            ("run", None, "blocked", True),
            ("run", "a", "success", True),
        ]


def test_a_line_of_the_log_is_an_object_with_run_step_and_asset() -> None:
    record = logging.LogRecord("avila", logging.WARNING, "", 0, "dagster - %s", ("prefix",), None)
    asset = SimpleNamespace(to_user_string=lambda: "lake/shop")
    record.dagster_meta = {
        "run_id": "r1",
        "step_key": "lake__shop",
        "orig_message": 'said "so"\nin two lines, ação',
        "dagster_event": SimpleNamespace(asset_key=asset, is_step_failure=False),
    }
    (line,) = JsonLines().format(record).splitlines()
    assert "ação" in line
    said = json.loads(line)
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "warning",
        "run_id": "r1",
        "step": "lake__shop",
        "asset": "lake/shop",
        "message": 'said "so"\nin two lines, ação',
    }
    assert json.loads(JsonLines().format(logging.makeLogRecord({"msg": "plain"})))["run_id"] is None


def test_a_terminal_is_spoken_to_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for is_terminal, log_format, is_json in [(True, "auto", False), (False, "auto", True), (False, "text", False)]:
        monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda is_terminal=is_terminal: is_terminal))
        console = terminal(file=io.StringIO(), width=20)
        voice = Voice(Settings(data_dir=tmp_path, log_format=log_format), console)
        voice.run_id = "r1"
        voice.say("two [words][/b] and :key:, in a line longer than that")
        said = console.file.getvalue()
        if is_json:
            line = json.loads(said)
            assert (line["message"], line["run_id"]) == ("two [words][/b] and :key:, in a line longer than that", "r1")
        else:
            assert said == "two [words][/b] and :key:, in a line longer than that\n"


def test_what_a_dump_says_does_not_steer_the_terminal() -> None:
    """ESC ] 0 sets a window's title; ESC ] 52 the clipboard."""
    said, shown = "a row: \x1b]0;title\x07\x9b2J\tação\n", "a row: \\x1b]0;title\\x07\\x9b2J\tação\n"
    console = terminal(file=io.StringIO(), tab_size=1)
    console.print(said, style="red", end="")
    assert console.file.getvalue() == shown.expandtabs(1)
    assert Plain().format(logging.makeLogRecord({"msg": said})).endswith(f"  {shown}")


def test_figures_are_written_whole_where_they_are_wanted(tmp_path: Path, stopwatch: Stopwatch) -> None:
    wanted = tmp_path / "collected" / "shop.prom"
    settings = Settings(data_dir=tmp_path, metrics_file=wanted)
    assert write_metrics(settings, Summary(status="failed")) == wanted
    assert figures_of(wanted)["avila_run_outcome"] == {
        (("outcome", outcome),): float(outcome == "failed") for outcome in ("published", "blocked", "failed", "done")
    }
    odd = 'a "step"\\ of\ntwo lines'
    with stopwatch.part(odd):
        pass
    came = {odd: Came(rows=3, rejected=1)}
    summary = Summary(status="done", whole=stopwatch.whole(), steps=tuple(stopwatch.steps), came=came)
    write_metrics(settings, summary)
    figures = figures_of(wanted)
    assert figures["avila_step_duration_seconds"] == {(("step", odd),): stopwatch.steps[0].seconds}
    assert figures["avila_rows_rejected"] == {(("source", odd),): 1}
    assert "avila_publication_timestamp_seconds" not in figures
    assert [path.name for path in wanted.parent.iterdir()] == ["shop.prom"]
    assert wanted.stat().st_mode & 0o777 == 0o644


def test_figures_are_read_by_another_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        figures = write_metrics(Settings(data_dir=tmp_path), Summary(status="done"))
    finally:
        os.umask(before)
    assert (figures.stat().st_mode & 0o777, figures.parent.stat().st_mode & 0o777) == (0o644, 0o755)


def test_figures_that_cannot_be_written_leave_the_last_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    before = write_metrics(settings, Summary(status="done")).read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_metrics(settings, Summary(status="failed"))
    assert [(path.name, path.read_text()) for path in settings.metrics.parent.iterdir()] == [("avila.prom", before)]
