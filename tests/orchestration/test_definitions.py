"""The code location: complete, connected, documented and scheduled."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.settings import PROJECT_ROOT

DESCRIBE = """
import json
from dagster import DefaultScheduleStatus
from orchestration.definitions import defs
graph = defs.resolve_asset_graph()
schedule = defs.resolve_schedule_def("every_night")
print(json.dumps({
    "assets": {
        key.to_user_string(): {
            "parents": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "group": graph.get(key).group_name,
            "kinds": sorted(graph.get(key).kinds),
            "description": graph.get(key).description,
            "owners": list(graph.get(key).owners),
            "stale_after": policy.fail_window.to_timedelta().total_seconds() / 3600
            if (policy := graph.get(key).freshness_policy) else None,
        } for key in graph.get_all_asset_keys()
    },
    "checks": sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys),
    "executor": defs.executor.name,
    "cron": schedule.cron_schedule, "timezone": schedule.execution_timezone,
    "weekly": defs.resolve_schedule_def("every_week").cron_schedule,
    "running": schedule.default_status == DefaultScheduleStatus.RUNNING,
}))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("location")
    shutil.copy(PROJECT_ROOT / "data" / "avila.yml", root)
    return {
        **os.environ,
        "AVILA_DATA_DIR": str(root),
        "HOME": str(root),
        "DAGSTER_HOME": str(root),
        "PYTHONPATH": str(PROJECT_ROOT),
    }


@pytest.fixture(scope="module")
def location(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    described: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return described


def test_the_location_validates(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "dagster"),
            *("definitions", "validate", "-m", "orchestration.definitions"),
        ],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr


def test_the_lineage_is_one_piece_from_dumps_to_publication(location: dict[str, Any]) -> None:
    assets = location["assets"]
    reached, frontier = set(), ["published/marts"]
    while frontier:
        key = frontier.pop()
        if key not in reached:
            reached.add(key)
            frontier += assets[key]["parents"]
    assert "landing/shop" in reached
    # What nobody reads is still reached from the dumps.
    assert all(assets[key]["parents"] or key.startswith("landing/") for key in assets)
    assert {key for key in assets if key.startswith("marts/")} <= reached


def test_every_asset_is_described_and_grouped_by_its_layer(location: dict[str, Any]) -> None:
    groups = {asset["group"] for asset in location["assets"].values()}
    assert groups == {
        "landing", "lake", "ops", "staging", "intermediate", "features", "ml", "marts", "published",
    }  # fmt: skip
    for key, asset in location["assets"].items():
        assert asset["description"], key
        assert asset["kinds"], key
        assert asset["owners"] == ["team:analytics"], key
        assert key.split("/")[0] == asset["group"]


def test_marts_are_stale_when_an_alert_says_so(location: dict[str, Any]) -> None:
    limits = {key: asset["stale_after"] for key, asset in location["assets"].items()}
    assert {key: hours for key, hours in limits.items() if hours} == {
        key: 36 for key in limits if key.startswith(("marts/", "published/"))
    }


def test_tests_and_gates_are_checks(location: dict[str, Any]) -> None:
    checks = location["checks"]
    assert "features/churn_features:expectations_of_churn_features" in checks
    assert "ml/conversion_predictions:expectations_of_conversion_scores" in checks
    assert "marts/cohort_retention:assert_retention_never_exceeds_cohort" in checks
    assert "lake/shop:rejected_share_within_limit" in checks
    assert "lake/shop:expectations_of_shop_dumps" in checks
    assert "lake/shop:something_is_loaded" in checks
    assert "intermediate/int_events_identified:declared_events_occur" in checks
    sentences = {path.stem for path in (PROJECT_ROOT / "dbt_project" / "tests" / "marts").glob("*.sql")}
    assert sentences <= {check.split(":")[1] for check in checks}


def test_the_night_is_scheduled_and_runs_in_one_process(location: dict[str, Any]) -> None:
    assert location["cron"] == "0 2 * * *"
    assert location["weekly"] == "0 4 * * 0"
    assert location["timezone"] == "America/Sao_Paulo"
    assert location["running"]
    assert location["executor"] == "in_process"


def test_a_dump_that_grows_is_waited_for_and_then_begins_one_run(environment: dict[str, str]) -> None:
    script = """
import sys
from pathlib import Path
from dagster import DagsterInstance, build_sensor_context
from orchestration.defs import sensors
now, cursor, begun = 1e9, None, []
dump = sensors.HOUSE.settings.root / "landing" / "shop" / "grows.jsonl.gz"
dump.parent.mkdir(parents=True, exist_ok=True)
sensors.time.time = lambda: now
with DagsterInstance.ephemeral() as instance:
    for look in range(14):
        if look < 8:
            with dump.open("ab") as file:
                file.write(b"more")
        with build_sensor_context(instance=instance, cursor=cursor) as context:
            result = sensors.dumps_landed(context)
        cursor = result.cursor
        begun += [look] * len(result.run_requests or [])
        now += 30
dump.unlink()
print(begun)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # It was last written to at the eighth look; a minute is two looks.
    assert done.stdout.splitlines()[-1] == "[9]"


def test_sensors_look_for_dumps_and_tell_of_runs(environment: dict[str, str]) -> None:
    script = """
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, build_sensor_context
from orchestration.defs.sensors import alerts, dumps_landed
from orchestration.nights.orphans import MAKE_RUN
with DagsterInstance.ephemeral() as instance:
    # A `make run` that was killed: nobody but the sensor sees that its process is gone.
    instance.add_run(DagsterRun(job_name="nightly", status=DagsterRunStatus.STARTED, tags=MAKE_RUN))
    for sensor in (dumps_landed, alerts):
        with build_sensor_context(instance=instance) as context:
            print(sensor.name, sensor.default_status.value, sensor(context).skip_reason.skip_message)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dumps_landed RUNNING 0 new dumps" in done.stdout
    assert "alerts RUNNING Nothing new." in done.stdout


def test_a_night_that_failed_before_it_began_is_told_prometheus_by_the_sensor(
    environment: dict[str, str], tmp_path: Path
) -> None:
    script = """
import os
from dagster import DagsterInstance, DagsterRun, build_sensor_context
from orchestration.defs.sensors import alerts
from orchestration.nights.metrics import Summary, write_metrics
from orchestration.settings import Settings
figures = write_metrics(Settings.of_environment(), Summary(status="published"))
os.utime(figures, (0, 0))
with DagsterInstance.ephemeral() as instance:
    for job in ("weekly_verification", "nightly", "nightly"):
        run = instance.add_run(DagsterRun(job_name=job))
        instance.report_run_failed(run, "avila.yml is wrong")
        before = figures.read_bytes()
        with build_sensor_context(instance=instance) as context:
            alerts(context)
        lines = figures.read_text().splitlines()
        print(job, figures.read_bytes() != before, [line for line in lines if line.endswith(" 1.0")])
        if job == "nightly":
            # As a night that has left its own.
            os.utime(figures, (2e9, 2e9))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "AVILA_METRICS_FILE": str(tmp_path / "avila.prom")},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    published, failed = ([f'avila_run_outcome{{outcome="{outcome}"}} 1.0'] for outcome in ("published", "failed"))
    assert done.stdout.splitlines()[-3:] == [
        f"weekly_verification False {published}",
        f"nightly True {failed}",
        f"nightly False {failed}",
    ]


def test_a_changed_avila_yml_is_read_anew_when_no_run_is_under_way(environment: dict[str, str]) -> None:
    script = """
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, build_sensor_context
from orchestration.defs import sensors
declared = sensors.HOUSE.settings.declarations
before, told = declared.read_text(), sensors.load_anew
with DagsterInstance.ephemeral() as instance:
    def look():
        with build_sensor_context(instance=instance) as context:
            print(sensors.declarations(context).skip_message.splitlines()[0])
    declared.write_text(before + "# As before.")
    look()
    declared.write_text(before + "sources: [}")
    look()
    declared.write_text(before.replace("sources:", "sources:\\n  tills: {path: landing/tills/*.csv}"))
    look()
    sensors.load_anew = lambda settings: None
    look()
    instance.add_run(DagsterRun(job_name="nightly", status=DagsterRunStatus.STARTED))
    look()
declared.write_text(before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "AVILA_UI_PORT": "9"},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    as_it_was, broken, unheard, read, busy = done.stdout.splitlines()[-5:]
    assert as_it_was == "avila.yml is as it was."
    assert broken.startswith("What was declared before stands until this is mended: ")
    assert unheard.startswith("avila.yml has changed; stop the UI and start it again, as it cannot be told: ")
    assert read == "avila.yml has changed, and is read anew."
    assert busy == "avila.yml has changed; it is read when no run is under way."


def test_a_load_says_how_many_dumps_were_withdrawn(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    (tmp_path / "avila.yml").write_text("sources: {web: {path: landing/*.csv, removed_files: withdraw}}\n")
    for name in ("a", "b"):
        (tmp_path / "landing" / f"{name}.csv").write_text(f"event_ts,event_name,user_id\n2025-01-01,x,{name}\n")
    script = """
from dagster import materialize
from orchestration.defs.ingest import HOUSE, lake_asset
web = lake_asset("web", HOUSE.declarations.sources["web"])
for _ in range(2):
    (made,) = materialize([web], resources={"night": None}).asset_materializations_for_node("lake__web")
    print(made.metadata["dumps_withdrawn"].value)
    (HOUSE.settings.root / "landing" / "b.csv").unlink(missing_ok=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "AVILA_DATA_DIR": str(tmp_path)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "1"]
    assert "the rows of 1 dumps were withdrawn with their files" in done.stderr
