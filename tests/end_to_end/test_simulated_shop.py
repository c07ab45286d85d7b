"""A small shop through several nights: nothing twice, nothing lost, nothing unaudited."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.backup import restore, save
from orchestration.settings import PROJECT_ROOT, Settings
from tests.end_to_end.conftest import Night, RunNight
from tests.end_to_end.no_network import NoNetwork, is_cut_by_the_kernel
from tests.orchestration.figures import figures_of

DAYS = 75
MARTS = (
    "events",
    "sessions",
    "users",
    "user_days",
    "funnel_users",
    "funnel_steps",
    "cohort_retention",
    "cohort_retention_brackets",
    "cohort_retention_by_property",
    "rfm_scores",
    "rfm_transitions",
    "purchase_summaries",
    "lifecycle",
    "stickiness",
    "active_users",
    "path_transitions",
    "path_steps",
    "paths_to_key_event",
    "paths_from_key_event",
    "session_channels",
    "attribution",
    "conversion_paths",
    "churn_scores",
    "conversion_scores",
    "clv",
    "score_history",
    "score_performance",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # To SQL, to a shell and in HTML, this name holds more than letters.
    root = tmp_path_factory.mktemp("shop") / "d'Ávila & <b>;"
    root.mkdir()
    shutil.copy(PROJECT_ROOT / "data" / "avila.yml", root)
    script = str(PROJECT_ROOT / "data" / "simulate.py")
    arguments = ["--out", str(root), "--events", "12000", "--days", str(DAYS), "--seed", "5"]
    subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def first_night(root: Path, run_night: RunNight) -> Night:
    night = run_night(root)
    assert night.code == 0, night.errors
    return night


def test_a_night_runs_every_test_of_dbt(root: Path, first_night: Night) -> None:
    manifest = json.loads((root / "warehouse" / "dbt" / "manifest.json").read_text())
    written = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "test"}
    with first_night.marts() as marts:
        query = "select checks_passed || checks_failed from ops.publications order by publication_number desc limit 1"
        ((checks,),) = marts.execute(query).fetchall()
    assert written - {check.partition(": ")[2] for check in checks} == set()


def contents(night: Night) -> dict[str, list[tuple[object, ...]]]:
    with night.marts() as marts:
        return {table: marts.execute(f"select * from {table} order by all").fetchall() for table in MARTS}


def landed_lines(root: Path) -> list[str]:
    lines = []
    for dump in sorted((root / "landing" / "shop").glob("*.jsonl.gz")):
        with gzip.open(dump, "rt", encoding="utf-8") as file:
            lines += file.read().splitlines()
    return lines


def test_every_line_is_an_event_a_copy_or_a_reject(first_night: Night) -> None:
    lines = landed_lines(first_night.root)
    good, ids = 0, set()
    for line in lines:
        try:
            event = json.loads(line)
            duckdb.execute("select cast(? as timestamptz)", [event["timestamp"]])
        except (json.JSONDecodeError, KeyError, TypeError, duckdb.Error):
            continue
        good += 1
        ids.add(event["event_id"])
    with first_night.marts() as marts:
        loaded, rejected = marts.execute("select sum(rows), sum(rejected) from ops.loads").fetchall()[0]
        assert (loaded, rejected) == (good, len(lines) - good)
        assert marts.execute("select count(*), count(distinct event_id) from events").fetchall() == [
            (len(ids), len(ids))
        ]
        assert rejected > 0


def test_scores_are_written_for_every_eligible_user(first_night: Night) -> None:
    with first_night.marts() as marts:
        eligible = marts.execute(
            """
            select count(distinct user_key) from user_days
            where activity_date >= (select max(activity_date) + 1 - 90 from user_days)
            """
        ).fetchall()
        for model in ("churn", "conversion"):
            scored = marts.execute(f"select count(*), count(distinct user_key) from {model}_scores").fetchall()
            assert scored == [(eligible[0][0],) * 2]
        versions = marts.execute("select model, metrics from ops.model_versions").fetchall()
    assert {model for model, _ in versions} == {"churn", "conversion"}


def test_every_customer_has_a_lifetime_value_or_a_reason_for_none(first_night: Night) -> None:
    with first_night.marts() as marts:
        customers = marts.execute("select count(*) from purchase_summaries").fetchall()[0][0]
        counted = "select count(*), count(clv) + count(no_estimate_because), count_if(as_of != today) from clv, "
        today = "(select max(activity_date) + 1 as today from user_days)"
        assert marts.execute(counted + today).fetchall() == [(customers, customers, 0)]
        assert not marts.execute("from clv where no_estimate_because = 'not estimated yet'").fetchall()


def test_the_report_shows_what_was_built(first_night: Night) -> None:
    for said in (
        "marts.events",
        "What came in",
        "ROC-AUC",
        "marts.duckdb",
        "Which step of each funnel",
        "  clv: ",
        "Done in",
    ):
        assert said in first_night.output


def test_a_page_to_read_is_published_and_names_no_user(first_night: Night) -> None:
    published = first_night.root / "published"
    page = (published / "report.html").read_text(encoding="utf-8")
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in (published / "pictures").iterdir()}
    assert {"funnel-checkout", "funnel-search", "retention-week", "rfm-grid", "journeys", "lifecycle"} <= set(pictures)
    assert all(f'id="{name}"' in page for name in pictures)
    with first_night.marts() as marts:
        keys = marts.execute("select user_key from users union select anonymous_id from events").fetchall()
        events = marts.execute("select count(*) from events").fetchall()[0][0]
    words = set(re.findall(r"\w+", " ".join([page, *pictures.values()])))
    assert not words & {key for (key,) in keys}
    assert f"{events:,} events" in page
    # The pages of the UI find the same pictures among its logs.
    assert (first_night.root / "warehouse" / "dagster" / "storage" / "pictures" / "funnel_steps.svg").exists()


def test_the_night_is_on_record(first_night: Night) -> None:
    with first_night.marts() as marts:
        whole = "from ops.runs where step is null"
        assert marts.execute(f"select status, seconds > 0 {whole}").fetchall() == [("published", True)]
        assert (
            marts.execute("select run_id from ops.publications").fetchall()
            == marts.execute(f"select run_id {whole}").fetchall()
        )


def test_why_a_night_was_slow_is_a_query(first_night: Night, root: Path) -> None:
    measured = (
        "step, part_of, seconds, cpu_seconds, rows, peak_memory_bytes, status from ops.runs where step is not null"
    )
    with first_night.marts() as marts:
        published = {row[0]: row[1:] for row in marts.execute(f"select {measured}").fetchall()}
        models = marts.execute(
            "select schema_name || '.' || table_name, estimated_size from duckdb_tables() where schema_name = 'marts'"
        ).fetchall()
        sums = marts.execute(
            """
            with steps as (select *, step is null as is_run, part_of is not null as is_part from ops.runs)
            select
                sum(seconds) filter (where not is_run and not is_part) / sum(seconds) filter (where is_run),
                sum(cpu_seconds) filter (where not is_run and not is_part) / sum(cpu_seconds) filter (where is_run),
                max(peak_memory_bytes) filter (where not is_run) <= max(peak_memory_bytes) filter (where is_run)
            from steps
            """
        ).fetchall()[0]
    with duckdb.connect(str(root / "warehouse" / "warehouse.duckdb"), read_only=True) as warehouse:
        stored = {row[0]: row[1:] for row in warehouse.execute(f"select {measured}").fetchall()}
    # What came after the publication is in the warehouse, and in the next publication.
    assert stored.keys() - published.keys() == {"published__marts"}
    assert {name: stored[name] for name in published} == published
    assert {name: published[name][3] for name, _ in models} == dict(models)
    assert all(part_of.startswith("dbt_models") for name, (part_of, *_) in stored.items() if name.startswith("marts."))
    assert stored["lake__shop"][3] == len(landed_lines(root)) - 1
    assert all(row[1] > 0 and row[2] > 0 and row[4] > 50e6 and row[5] == "success" for row in stored.values())
    # Steps follow one another, and leave little of the night to itself.
    assert 0.7 < sums[0] <= 1
    assert 0.7 < sums[1] <= 1
    assert sums[2]


def test_what_is_said_beside_the_report_is_json_with_run_and_step(first_night: Night) -> None:
    lines = [json.loads(line) for line in first_night.errors.splitlines()]
    with first_night.marts() as marts:
        ((run_id,),) = marts.execute("select run_id from ops.runs where step is null").fetchall()
    assert {line["run_id"] for line in lines} == {run_id}
    assert {"lake__shop", "ops__loads", "dbt_models", "published__marts"} <= {line["step"] for line in lines}
    assert {line["level"] for line in lines} <= {"info", "warning"}


def test_the_night_leaves_its_figures_for_prometheus(first_night: Night, root: Path) -> None:
    figures = figures_of(root / "metrics" / "avila.prom")
    with first_night.marts() as marts:
        published_at, rows, rejected = marts.execute(
            "select epoch(max(published_at)), (select sum(rows) from ops.loads), (select count(*) from ops.rejects) "
            "from ops.publications"
        ).fetchall()[0]
    assert figures["avila_publication_timestamp_seconds"] == {(): pytest.approx(published_at, abs=1e-3)}
    assert figures["avila_run_outcome"][(("outcome", "published"),)] == 1
    assert figures["avila_rows_loaded"] == {(("source", "shop"),): rows}
    assert figures["avila_rows_rejected"] == {(("source", "shop"),): rejected}
    assert figures["avila_warehouse_bytes"] == {(): (root / "warehouse" / "warehouse.duckdb").stat().st_size}
    assert figures["avila_step_duration_seconds"].keys() >= {(("step", "dbt_models"),), (("step", "published__marts"),)}


def test_a_night_asks_nothing_of_the_network(first_night: Night) -> None:
    assert first_night.asked_of_network == []


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.getaddrinfo('avila.example', 80)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        pytest.param(
            "import ctypes, struct; c = ctypes.CDLL(None); "
            "c.connect(c.socket(2, 1, 0), struct.pack('<HHI8x', 2, 80, 0x010200C0), 16)",
            marks=pytest.mark.skipif(not is_cut_by_the_kernel(), reason="only the kernel sees what is not Python"),
        ),
    ],
)
def test_whoever_asks_is_noted(code: str, tmp_path: Path) -> None:
    network = NoNetwork(tmp_path)
    words = network.command(sys.executable, "-c", code)
    subprocess.run(words, env=network.environment(dict(os.environ)), capture_output=True, check=False)
    assert network.asked_for()


@pytest.mark.slow
def test_a_backup_gives_the_same_marts_after_the_next_night(
    first_night: Night, run_night: RunNight, tmp_path: Path
) -> None:
    house, restored = Settings(data_dir=first_night.root), Settings(data_dir=tmp_path / "restored")
    restore(restored, save(house, tmp_path / "backups").path)
    night = run_night(restored.root)
    assert night.code == 0, night.errors
    assert contents(night) == contents(first_night)
    with night.marts() as marts:
        loaded = marts.execute("select count(distinct loaded_at), max(loaded_at) from ops.loads").fetchall()
        runs = marts.execute("select status from ops.runs where step is null").fetchall()
        models = marts.execute("select model, version, trained_at from ops.model_versions order by all").fetchall()
    with first_night.marts() as marts:
        # Nothing was loaded again, or trained anew.
        query = "select count(distinct loaded_at), max(loaded_at) from ops.loads"
        assert marts.execute(query).fetchall() == loaded
        query = "select model, version, trained_at from ops.model_versions order by all"
        assert marts.execute(query).fetchall() == models
    assert runs == [("published",), ("published",)]


def test_a_second_night_loads_nothing_twice_and_names_an_unreadable_dump(
    first_night: Night, run_night: RunNight
) -> None:
    before = contents(first_night)
    broken = first_night.root / "landing" / "shop" / "broken.jsonl.gz"
    broken.write_bytes(b"this is no gzip file")
    night = run_night(first_night.root)
    broken.unlink()
    assert night.code == 0, night.errors
    assert f"0 new dumps, 0 rows, 0 filtered, 0 rejected; {DAYS} dumps were loaded before" in night.errors
    assert "broken.jsonl.gz" in night.errors
    assert contents(night) == before


def test_too_many_rejects_block_the_publication(first_night: Night, run_night: RunNight) -> None:
    before = contents(first_night)
    dump = first_night.root / "landing" / "shop" / "garbage.jsonl.gz"
    dump.write_bytes(gzip.compress(b'{"event": "x", "event_id": "x", "timestamp": "never", "user_id": "u"}\n' * 5000))
    night = run_night(first_night.root)
    dump.unlink()
    assert night.code == 1
    assert "lake/shop: rejected_share_within_limit failed" in night.errors
    figures = figures_of(night.root / "metrics" / "avila.prom")
    assert figures["avila_run_outcome"][(("outcome", "blocked"),)] == 1
    assert figures["avila_rows_rejected"] == {(("source", "shop"),): 5000}
    with night.marts() as marts:
        ((last,),) = marts.execute("select epoch(max(published_at)) from ops.publications").fetchall()
    assert figures["avila_publication_timestamp_seconds"] == {(): pytest.approx(last, abs=1e-3)}
    with duckdb.connect(str(night.root / "warehouse" / "warehouse.duckdb"), read_only=True) as warehouse:
        query = "select status from ops.runs where step is null order by started_at"
        assert warehouse.execute(query).fetchall() == [("published",), ("published",), ("blocked",)]
    assert "Traceback" not in night.errors
    assert contents(night) == before


def test_a_mistake_in_the_declarations_is_named(tmp_path: Path, run_night: RunNight) -> None:
    (tmp_path / "avila.yml").write_text("sources:\n  web:\n    path: landing/*.csv\n    colums: {}\n")
    night = run_night(tmp_path)
    assert night.code == 2
    assert "line 4" in night.errors
    assert "colums" in night.errors
    figures = figures_of(tmp_path / "metrics" / "avila.prom")
    assert figures["avila_run_outcome"][(("outcome", "failed"),)] == 1
    assert "Traceback" not in night.errors


def test_a_directory_without_declarations_says_what_to_do(tmp_path: Path, run_night: RunNight) -> None:
    night = run_night(tmp_path)
    assert night.code == 2
    assert "avila.yml" in night.errors
    assert "Traceback" not in night.errors
