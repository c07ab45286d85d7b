"""A small shop through several nights: nothing twice, nothing lost, nothing unaudited."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from tests.end_to_end.conftest import Night, RunNight

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
    root = tmp_path_factory.mktemp("shop")
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
        assert marts.execute("select status, seconds > 0 from ops.runs").fetchall() == [("published", True)]
        assert (
            marts.execute("select run_id from ops.publications").fetchall()
            == marts.execute("select run_id from ops.runs").fetchall()
        )


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
    assert "Traceback" not in night.errors
    assert contents(night) == before


def test_a_mistake_in_the_declarations_is_named(tmp_path: Path, run_night: RunNight) -> None:
    (tmp_path / "avila.yml").write_text("sources:\n  web:\n    path: landing/*.csv\n    colums: {}\n")
    night = run_night(tmp_path)
    assert night.code == 2
    assert "line 4" in night.errors
    assert "colums" in night.errors
    assert "Traceback" not in night.errors


def test_a_directory_without_declarations_says_what_to_do(tmp_path: Path, run_night: RunNight) -> None:
    night = run_night(tmp_path)
    assert night.code == 2
    assert "avila.yml" in night.errors
    assert "Traceback" not in night.errors
