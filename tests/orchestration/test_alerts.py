"""When an alert is told and when it is over, by a book that keeps any from being told twice or lost."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterInstance, job, op
from dagster._core.events import EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from orchestration.alerts.alert import Alert
from orchestration.alerts.book import Book
from orchestration.alerts.watch import watch
from orchestration.declarations import DeclarationError
from orchestration.nights.outcome import outcome_of
from tests.orchestration.alerting import Http, house, publish, run, told

pytestmark = pytest.mark.usefixtures("_no_waiting")


def test_a_published_file_that_is_broken_keeps_no_failure_from_being_told(tmp_path: Path, http: Http) -> None:
    rule = "rules: {any: {sql: 'select 1 as n', when: n = 1}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "marts.duckdb").write_bytes(b"no database" * 1000)
    with DagsterInstance.ephemeral() as instance:
        found = watch(here, instance, run(instance, fails=True))
    assert told(http) == [("firing", "failure/nightly")]
    assert found.trouble.startswith("alerts of rules could not be looked at: IOException")


def test_an_alert_is_told_when_it_comes_changes_and_goes(tmp_path: Path, http: Http) -> None:
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}', min_severity: critical}}}}")
    with DagsterInstance.ephemeral() as instance:
        for night, expected in (
            ({"fails": True}, [("firing", "failure/nightly")]),
            ({"fails": True}, []),
            ({"check_passes": False}, [("firing", "blocked/nightly"), ("resolved", "failure/nightly")]),
            ({"check_passes": False}, []),
            ({}, [("resolved", "blocked/nightly")]),
            ({}, []),
        ):
            run_id = run(instance, **night)  # type: ignore[arg-type]
            assert watch(here, instance, run_id).trouble == ""
            assert told(http) == expected
            # Both a night and the daemon may look at a run.
            watch(here, instance, run_id)
            assert told(http) == []


def test_a_blocked_night_names_the_gate_and_a_failed_one_the_step(tmp_path: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        blocked = outcome_of(instance, run(instance, check_passes=False))
        failed = outcome_of(instance, run(instance, fails=True))
    assert [check.name for check in blocked.blocked_by] == ["lake/web: rejected_share_within_limit"]
    assert blocked.failures == {}
    assert failed.failures == {"lake__web": "lake__web: ValueError: the disk is full"}
    assert failed.blocked_by == []


def test_a_run_that_never_reached_a_step_is_a_failure() -> None:
    @op
    def never() -> None:
        pass

    @job
    def nightly() -> None:
        never()

    with DagsterInstance.ephemeral() as instance:
        created = instance.create_run_for_job(nightly)
        instance.report_run_failed(created, "the worker was killed")
        assert outcome_of(instance, created.run_id).failures == {"run": "the worker was killed"}
        mistaken = instance.create_run_for_job(nightly)
        try:
            raise ValueError("avila.yml: line 2: unknown key")
        except ValueError:
            why = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
        instance.report_engine_event("Could not load job definition.", mistaken, why)
        instance.report_run_failed(mistaken)
        assert outcome_of(instance, mistaken.run_id).failures == {"run": "ValueError: avila.yml: line 2: unknown key"}


def test_a_rule_by_day_needs_every_day(tmp_path: Path, http: Http) -> None:
    here = house(
        tmp_path,
        f"""
webhook: {{pager: {{url: '{http.url}'}}}}
rules:
  low:
    description: Fewer buy than usual.
    sql: select day, rate from rates
    when: rate < 0.02
    for: 3 days
""",
    )
    rates = "create table marts.marts.rates as select * from (values {}) t(day, rate)"
    days = [f"(date '2025-01-0{day}', {rate})" for day, rate in [(1, 0.05), (2, 0.01), (3, 0.01), (4, 0.01)]]
    for night, (values, expected) in enumerate(
        [
            (days[:3], []),
            (days, [("firing", "rule/low")]),
            ([*days, "(date '2025-01-05', 0.001)"], []),
            ([*days, "(date '2025-01-05', 0.02)"], [("resolved", "rule/low")]),
            # The fourth is missing: nobody knows of it.
            ([*days[:3], "(date '2025-01-05', 0.01)", "(date '2025-01-06', 0.01)"], []),
            ([*days, "(date '2025-01-04', null)"], [("firing", "rule/low")]),
        ]
    ):
        publish(tmp_path, night=night, marts=rates.format(", ".join(values)))
        watch(here)
        assert told(http) == expected, night


def test_a_rule_by_run_counts_publications_once(tmp_path: Path, http: Http) -> None:
    rule = "rules: {few: {sql: 'select count(*) as users from users', when: users < 2, for: 2 runs}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    publish(tmp_path, night=1)
    watch(here)
    watch(here)
    assert told(http) == []
    publish(tmp_path, night=2)
    watch(here)
    assert told(http) == [("firing", "rule/few")]
    gone = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}")
    watch(gone)
    assert told(http) == [("resolved", "rule/few")]


def test_a_clock_that_was_ahead_hides_no_later_publication(tmp_path: Path, http: Http) -> None:
    rule = "rules: {few: {sql: 'select count(*) as users from users', when: users < 2, for: 2 runs}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    publish(tmp_path, night=1)
    watch(here)
    publish(tmp_path, night=2, hours_ahead=1000)
    watch(here)
    assert told(http) == [("firing", "rule/few")]
    with duckdb.connect(str(tmp_path / "published" / "marts.duckdb")) as connection:
        query = "update marts.ops.publications set published_at = published_at - interval 37 hours"
        connection.execute(f"{query} where publication_number = 2")
    watch(here)
    assert told(http) == [("firing", "stale/marts")]


def test_a_channel_hears_of_the_end_of_what_is_less_severe_than_it_was(tmp_path: Path, http: Http) -> None:
    pager = f"webhook: {{pager: {{url: '{http.url}', min_severity: critical}}}}\n"
    rule = "rules: {{any: {{sql: 'select 1 as n', when: n = 1, severity: {}}}}}"
    publish(tmp_path, night=1)
    for severity, expected in (
        ("critical", [("firing", "rule/any")]),
        ("warning", [("resolved", "rule/any")]),
        ("critical", [("firing", "rule/any")]),
    ):
        watch(house(tmp_path, pager + rule.format(severity)))
        assert told(http) == expected


def test_hashes_and_ids_of_runs_make_no_other_alert() -> None:
    said = "/published/.marts-{}.duckdb cannot be written: run {}"
    texts = [
        said.format("ab12cd34ef56ab12cd34ef56ab12cd34", "5bf4387f-6648-4da9-b096-5500c7bd8ce0"),
        said.format("0f12cd34ef56ab1acd34ef56ab12cdf4", "2f91b0dd-4e74-4dbf-93cb-958bce863404"),
        said.format("decade", "facade"),
    ]
    prints = [Alert(key="f", kind="failure", severity="critical", title="", text=text).fingerprint for text in texts]
    assert prints[0] == prints[1] != prints[2]


def test_a_rule_without_an_answer_is_an_alert_of_its_own_and_reads_nothing_else(tmp_path: Path, http: Http) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    publish(tmp_path, night=1)
    here = house(
        tmp_path,
        f"""
webhook: {{pager: {{url: '{http.url}'}}}}
rules:
  typo: {{sql: select usr from users, when: usr > 1}}
  file: {{sql: "select * from '{tmp_path}/secret.csv'", when: a = 1}}
  good: {{sql: select user_key from users, when: user_key = 1}}
""",
    )
    watch(here)
    assert sorted(told(http)) == [
        ("firing", "broken_rule/file"),
        ("firing", "broken_rule/typo"),
        ("firing", "rule/good"),
    ]


def test_stale_marts_and_missing_dumps(tmp_path: Path, http: Http) -> None:
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\nmissing_dump: {{sources: {{web: 5}}}}")
    publish(tmp_path, night=1)
    from orchestration.ingestion.lake import Lake

    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text("event_ts,event_name,user_id\n2025-01-01,x,u\n")
    with closing(Lake(tmp_path / "lake")) as lake:
        lake.load(here.declarations.sources["web"], data_dir=tmp_path, memory_limit="1GB", threads=1)
    watch(here)
    assert told(http) == []
    with closing(sqlite3.connect(tmp_path / "lake" / "catalog.sqlite")) as catalog:
        catalog.execute("update loads set loaded_at = datetime('now', '-6 hours')")
        catalog.commit()
    with duckdb.connect(str(tmp_path / "published" / "marts.duckdb")) as connection:
        connection.execute("update marts.ops.publications set published_at = published_at - interval 37 hours")
    watch(here)
    watch(here)
    assert told(http) == [("firing", "missing_dump/web"), ("firing", "stale/marts")]
    publish(tmp_path, night=2)
    watch(here)
    assert told(http) == [("resolved", "stale/marts")]


def test_alerts_of_a_source_that_is_gone_are_over(tmp_path: Path, http: Http) -> None:
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}")
    alerts = [
        Alert(key=key, kind="missing_dump", severity="warning", title=key)
        for key in ("missing_dump/web", "missing_dump/app", "check/lake/app: every_file_could_be_read")
    ]
    with closing(Book(here.settings.alerts, warehouse="w")) as book, book.transaction():
        book.settle(alerts, lambda key: True, {})
    watch(here)
    assert sorted(told(http)) == [
        ("resolved", "check/lake/app: every_file_could_be_read"),
        ("resolved", "missing_dump/app"),
    ]


def test_two_books_of_one_file_agree(tmp_path: Path) -> None:
    alert = Alert(key="stale/marts", kind="stale", severity="critical", title="stale")
    with (
        closing(Book(tmp_path / "a.sqlite", warehouse="w")) as one,
        closing(Book(tmp_path / "a.sqlite", warehouse="w")) as two,
    ):
        assert one.claim("run")
        assert not two.claim("run")
        with one.transaction():
            assert [m.state for m in one.settle([alert], lambda key: True, {})] == ["firing"]
        with two.transaction():
            assert two.settle([alert], lambda key: True, {}) == []
        with one.sending() as first, two.sending() as second:
            assert (first, second) == (True, False)


@pytest.mark.parametrize(
    ("said", "line", "expected"),
    [
        ("slack: {team: {url: 'https://hooks.example/s3cr3t'}}", 4, "`url` is a secret"),
        ("slack: {team: {url_env: 'https://hooks.example/s3cr3t'}}", 4, "name of an environment variable"),
        ("webhook: {p: {url: 'https://u:s3cr3t@h.example'}}", 4, "may be a secret"),
        ("webhook: {p: {url: 'https://h.example/?token=s3cr3t'}}", 4, "may be a secret"),
        ("webhook: {p: {url: 'https://h.example', secret: s3cr3t}}", 4, "such as `secret_env:"),
        ("email: {u: {host: h, from: a@b.c, to: a@b.c, username: u, password: s3cr3t}}", 4, "such as `password_env:"),
        ("email: {u: {host: h, from: a@b.c, to: a@b.c, username: u}}", 4, "go together"),
        ("rules: {r: {sql: drop table users, when: a > 1}}", 4, "expected one query"),
        ("rules: {r: {sql: select 1 as a, when: 'a >'}}", 4, "is no condition"),
        ("rules: {r: {sql: select 1 as a, when: a > 1, for: soon}}", 4, "for"),
        ("rules: {r: {sql: select 1 as a, when: a > 1, fro: 3 days}}", 4, "did you mean `for`?"),
    ],
)
def test_a_secret_in_the_file_and_a_mistake_are_told_and_not_repeated(
    tmp_path: Path, said: str, line: int, expected: str
) -> None:
    with pytest.raises(DeclarationError) as error:
        house(tmp_path, said)
    assert f"line {line}:" in str(error.value)
    assert expected in str(error.value)
    assert "s3cr3t" not in str(error.value)
