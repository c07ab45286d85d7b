"""Alerts get to every channel, on real servers on this machine: what is not taken is sent again, and nothing twice."""

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from dagster import DagsterInstance

from orchestration.alerts import __main__ as command
from orchestration.alerts.watch import watch
from tests.orchestration.alerting import Http, house, publish, run, told

pytestmark = pytest.mark.usefixtures("_no_waiting")

KEY = "correct horse battery staple"


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
def mails() -> Iterator[tuple[Mails, int]]:
    handler = Mails()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


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
