"""Alerts against real servers on this machine, and the book that keeps them from being sent twice or lost."""

import hashlib
import hmac
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiosmtpd.controller import Controller
from dagster import AssetCheckResult, AssetCheckSeverity, DagsterInstance, Definitions, asset, asset_check, job, op

from orchestration.alerts import __main__ as command
from orchestration.alerts import delivery
from orchestration.alerts.alert import Alert
from orchestration.alerts.book import Book
from orchestration.alerts.watch import watch
from orchestration.declarations import DeclarationError, Declarations
from orchestration.house import House
from orchestration.nights.outcome import outcome_of
from orchestration.settings import Settings

KEY = "correct horse battery staple"
SOURCES = "sources:\n  web: {path: 'landing/*.csv'}\n"


class Http(ThreadingHTTPServer):
    """Takes posts; answers with the statuses it is given, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.asked = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/T0/B0/hidden"


class Handler(BaseHTTPRequestHandler):
    server: Http

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.taken.append((self.path, dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mails:
    """Takes mails; refuses recipients whose name begins with `gone`."""

    def __init__(self) -> None:
        self.taken: list[Mail] = []

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"


@pytest.fixture
def http() -> Iterator[Http]:
    server = Http()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def mails() -> Iterator[tuple[Mails, int]]:
    handler = Mails()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def house(root: Path, alerts: str) -> House:
    path = root / "avila.yml"
    path.write_text(SOURCES + "alerts:\n" + "".join(f"  {line}\n" for line in alerts.strip("\n").splitlines()))
    return House(settings=Settings(data_dir=root), declarations=Declarations.load(path))


def publish(
    root: Path,
    *,
    night: int,
    marts: str = "create table marts.marts.users as select 1 as user_key",
    hours_ahead: int = 0,
) -> None:
    """A published file, as good as new; the night before was published by a clock that may have been ahead."""
    path = root / "published" / "marts.duckdb"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts.marts; create schema marts.ops;" + marts)
        connection.execute(
            """
            create table marts.ops.publications as
            select
                'night ' || number as publication_id, number as publication_number,
                cast(now() at time zone 'UTC' as timestamp)
                + to_hours(case when number < $night then $hours_ahead else 0 end) as published_at
            from (select unnest(range($night - 1, $night + 1)) as number)
            """,
            {"night": night, "hours_ahead": hours_ahead},
        )


def run(
    instance: DagsterInstance, *, fails: bool = False, check_passes: bool = True, said: str = "9 % rejected"
) -> str:
    """A run of a job, with an asset and a check; gives its id."""

    @asset(key=["lake", "web"])
    def web() -> None:
        if fails:
            raise ValueError("the disk is full")

    @asset_check(asset=web, name="rejected_share_within_limit", blocking=True)
    def share() -> AssetCheckResult:
        return AssetCheckResult(passed=check_passes, severity=AssetCheckSeverity.ERROR, description=said)

    @asset(key=["published", "marts"], deps=[web])
    def marts() -> None:
        pass

    from dagster import define_asset_job

    defs = Definitions(assets=[web, marts], asset_checks=[share], jobs=[define_asset_job("nightly")])
    done = defs.resolve_job_def("nightly").execute_in_process(instance=instance, raise_on_error=False)
    return done.run_id


def told(http: Http) -> list[tuple[str, str]]:
    messages = [json.loads(body) for *_, body in http.taken]
    http.taken.clear()
    return [(message["state"], message["key"]) for message in messages]


def test_every_channel_gets_a_message_and_the_webhook_is_signed(
    tmp_path: Path, http: Http, mails: tuple[Mails, int], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TEAM_URL", http.url)
    monkeypatch.setenv("HOOK_KEY", KEY)
    house(
        tmp_path,
        f"""
slack: {{team: {{url_env: TEAM_URL}}}}
webhook: {{pager: {{url: '{http.url}', secret_env: HOOK_KEY}}}}
email:
  us: {{host: 127.0.0.1, port: {mails[1]}, security: none, from: avila@s.example, to: [a@s.example, b@s.example]}}
""",
    )
    assert command.main(["--test"]) == 0
    (_, _, slack), (_, headers, body) = http.taken
    assert "a test of this channel" in json.loads(slack)["text"]
    expected = hmac.new(KEY.encode(), headers["X-Avila-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Avila-Signature"] == f"sha256={expected}"
    assert json.loads(body)["id"] == headers["X-Avila-Delivery"]
    (mail,) = mails[0].taken
    assert mail["Subject"] == "[Ávila] TEST: a test of this channel"
    assert mail["To"] == "a@s.example, b@s.example"
    assert "alerts get here" in mail.get_content()
    said = capsys.readouterr()
    assert said.err.count(": sent") == 3
    assert not any(hidden in said.err + said.out for hidden in (KEY, http.url))


@pytest.mark.parametrize(
    ("statuses", "asked", "sent"),
    [([503, 429], 3, True), ([500, 500, 500], 3, False), ([404], 1, False)],
)
def test_what_may_pass_is_tried_again_and_what_will_not_is_not(
    tmp_path: Path, http: Http, statuses: list[int], asked: int, sent: bool
) -> None:
    publish(tmp_path, night=1)
    rule = "rules: {any: {sql: 'select count(*) as users from users', when: users > 0}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    http.statuses = statuses
    assert watch(here).sent == int(sent)
    assert http.asked == asked
    # Whatever was not taken is sent the next time, and nothing twice.
    assert watch(here).sent == int(not sent)
    assert watch(here).sent == 0
    assert told(http) == [("firing", "rule/any")]


def test_a_server_that_is_away_loses_nothing_and_fails_nothing(
    tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, night=1)
    mail = "host: 127.0.0.1, port: 9, security: none, from: a@b.example, to: c@b.example"
    channels = f"slack: {{team: {{url_env: TEAM_URL}}}}\nemail: {{us: {{{mail}}}}}"
    here = house(tmp_path, channels + "\nrules: {any: {sql: 'select 1 as n from users', when: n = 1}}")
    first = watch(here)
    assert first.sent == 0
    assert "slack/team" in str(first)
    assert "TEAM_URL is not set" in str(first)
    assert "email/us" in str(first)
    monkeypatch.setenv("TEAM_URL", http.url)
    assert watch(here).sent == 1
    assert "rule" not in http.taken[0][0]
    assert http.url not in str(watch(here))


def test_a_message_that_is_refused_keeps_no_other_from_being_sent(tmp_path: Path, http: Http) -> None:
    publish(tmp_path, night=1)
    rule = "rules: {any: {sql: 'select 1 as n', when: n = 1}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    http.statuses = [400]
    assert "wait to be sent: the server answered 400" in str(watch(here))
    http.statuses = [400]
    with DagsterInstance.ephemeral() as instance:
        assert watch(here, instance, run(instance, fails=True)).sent == 1
    assert told(http) == [("firing", "failure/nightly")]
    assert watch(here).sent == 1
    assert told(http) == [("firing", "rule/any")]


def test_a_recipient_that_is_gone_costs_the_others_nothing(tmp_path: Path, mails: tuple[Mails, int]) -> None:
    publish(tmp_path, night=1)
    mail = f"host: 127.0.0.1, port: {mails[1]}, security: none, from: a@s.example, to: [a@s.example, gone@s.example]"
    here = house(tmp_path, f"email: {{us: {{{mail}}}}}\nrules: {{any: {{sql: 'select 1 as n', when: n = 1}}}}")
    assert "do not reach everybody: the mail server takes no mail for gone@s.example" in str(watch(here))
    with DagsterInstance.ephemeral() as instance:
        watch(here, instance, run(instance, fails=True))
    watch(here)
    assert [sent["Subject"].partition(": ")[0] for sent in mails[0].taken] == ["[Ávila] WARNING", "[Ávila] CRITICAL"]


def test_a_published_file_that_is_broken_keeps_no_failure_from_being_told(tmp_path: Path, http: Http) -> None:
    rule = "rules: {any: {sql: 'select 1 as n', when: n = 1}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "marts.duckdb").write_bytes(b"no database" * 1000)
    with DagsterInstance.ephemeral() as instance:
        found = watch(here, instance, run(instance, fails=True))
    assert told(http) == [("firing", "failure/nightly")]
    assert found.trouble.startswith("alerts of rules could not be looked at: IOException")


def test_a_name_that_is_no_text_is_told_all_the_same(
    tmp_path: Path, http: Http, mails: tuple[Mails, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_URL", http.url)
    channels = f"""
slack: {{team: {{url_env: TEAM_URL}}}}
webhook: {{pager: {{url: '{http.url}'}}}}
email: {{us: {{host: 127.0.0.1, port: {mails[1]}, security: none, from: a@s.example, to: b@s.example}}}}
"""
    with DagsterInstance.ephemeral() as instance:
        said = "caf\udce9.csv is no CSV"
        found = watch(house(tmp_path, channels), instance, run(instance, check_passes=False, said=said))
    assert (found.trouble, found.sent) == ("", 3)
    assert "caf\\udce9.csv is no CSV" in json.loads(http.taken[-1][-1])["text"]


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
