"""Alerts get to every channel, on real servers on this machine: what is not taken is sent again, and nothing twice."""

import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
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
    """Takes mails; refuses recipients whose name begins with `gone`, and `later` ones twice."""

    def __init__(self) -> None:
        self.taken: list[Mail] = []
        self.put_off = 2

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 no such user"
        if address.startswith("later") and self.put_off:
            self.put_off -= 1
            return "451 come back later"
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


@pytest.mark.parametrize("is_met_when_opened", [True, False])
def test_a_broken_book_is_set_aside_and_alerts_are_told_from_a_new_one(
    tmp_path: Path, http: Http, is_met_when_opened: bool
) -> None:
    publish(tmp_path, night=1)
    rule = "rules: {any: {sql: 'select 1 as n from users', when: n = 1}}"
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}\n{rule}")
    assert watch(here).sent == 1
    book = here.settings.alerts
    sound = book.read_bytes()
    book.write_bytes(b"broken" * 2000 if is_met_when_opened else sound[:4096] + b"\xff" * (len(sound) - 4096))
    again = watch(here)
    assert again.sent == 1
    assert str(book.with_suffix(".broken")) in str(again)
    assert str(watch(here)) == ""
    assert told(http) == [("firing", "rule/any")] * 2


def test_a_broken_book_is_named_where_what_waits_is_to_be_sent(
    tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = house(tmp_path, f"webhook: {{pager: {{url: '{http.url}'}}}}")
    monkeypatch.setenv("AVILA_DATA_DIR", str(tmp_path))
    here.settings.alerts.parent.mkdir(exist_ok=True)
    here.settings.alerts.write_bytes(b"broken" * 2000)
    assert command.main(["--send"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"The book of alerts {here.settings.alerts} cannot be read (file is not a database)" in said
    assert "The next run sets it aside" in said


def test_mail_that_is_put_off_is_tried_again(tmp_path: Path, mails: tuple[Mails, int]) -> None:
    publish(tmp_path, night=1)
    to = f"host: 127.0.0.1, port: {mails[1]}, security: none, from: a@s.example, to: [later@s.example]"
    here = house(tmp_path, f"email: {{us: {{{to}}}}}\nrules: {{any: {{sql: 'select 1 as n from users', when: n = 1}}}}")
    assert watch(here).sent == 1
    assert len(mails[0].taken) == 1


def test_who_is_put_off_is_written_to_later_and_the_others_once(tmp_path: Path, mails: tuple[Mails, int]) -> None:
    publish(tmp_path, night=1)
    rule = "rules: {any: {sql: 'select 1 as n from users', when: n = 1}}"
    to = f"host: 127.0.0.1, port: {mails[1]}, security: none, from: a@s.example, to: [a@s.example, %s]"
    here = house(tmp_path, f"email: {{us: {{{to % 'later@s.example, gone@s.example'}}}}}\n{rule}")
    said = str(watch(here))
    assert "takes no mail for gone@s.example; the mail server puts off later@s.example" in said
    assert watch(here).sent == 1
    assert str(watch(here)) == ""
    assert [mail["To"] for mail in mails[0].taken] == [
        "a@s.example, later@s.example, gone@s.example",
        "later@s.example",
    ]


def test_who_is_put_off_and_declared_no_more_is_not_waited_for(tmp_path: Path, mails: tuple[Mails, int]) -> None:
    publish(tmp_path, night=1)
    rule = "rules: {any: {sql: 'select 1 as n from users', when: n = 1}}"
    to = f"host: 127.0.0.1, port: {mails[1]}, security: none, from: a@s.example, to: [a@s.example%s]"
    assert watch(house(tmp_path, f"email: {{us: {{{to % ', later@s.example'}}}}}\n{rule}")).not_sent
    here = house(tmp_path, f"email: {{us: {{{to % ''}}}}}\n{rule}")
    assert [str(watch(here)), str(watch(here))] == ["", ""]
    assert len(mails[0].taken) == 1


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does as it is told with each connection, in a thread of its own; gives the port."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            # A client that goes away is what is waited for.
            with connection, suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_an_answer_that_trickles_in_holds_nobody_up(tmp_path: Path) -> None:
    publish(tmp_path, night=1)
    done = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            if done.wait(0.1):
                return
            connection.sendall(b"x")

    with listening(trickle) as port:
        hook = f"webhook: {{pager: {{url: 'http://127.0.0.1:{port}'}}}}"
        here = house(tmp_path, f"{hook}\nrules: {{any: {{sql: 'select 1 as n from users', when: n = 1}}}}")
        begun = time.monotonic()
        assert watch(here).sent == 1
        assert time.monotonic() - begun < 5
        done.set()


def self_signed(path: Path) -> Path:
    """A key and a certificate that nobody vouches for."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def test_a_certificate_that_is_not_trusted_is_called_so_and_asked_once(tmp_path: Path) -> None:
    publish(tmp_path, night=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "own.pem"))
    asked = []

    def greet(connection: socket.socket) -> None:
        asked.append(1)
        context.wrap_socket(connection, server_side=True).close()

    with listening(greet) as port:
        hook = f"webhook: {{pager: {{url: 'https://127.0.0.1:{port}'}}}}"
        here = house(tmp_path, f"{hook}\nrules: {{any: {{sql: 'select 1 as n from users', when: n = 1}}}}")
        assert "certificate is not trusted" in str(watch(here))
    assert len(asked) == 1
