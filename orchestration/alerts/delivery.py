"""How a message gets to a channel: over HTTP or by mail, each with a few tries."""

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from orchestration.alerts.alert import Message
from orchestration.alerts.declared import Channel, Email, MissingSecret, Slack, Webhook, secret

if TYPE_CHECKING:
    import httpx

TRIES = 3
TIMEOUT_SECONDS = 10.0
FIRST_WAIT_SECONDS = 1.0
SIGNATURE, TIMESTAMP, DELIVERY = "X-Avila-Signature", "X-Avila-Timestamp", "X-Avila-Delivery"
_EMOJI = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}
_SLACK_LIMIT = 3500


class DeliveryFailed(Exception):  # noqa: N818 - reads as what happened
    """A message did not get there. The message holds no secret.

    Attributes:
        passing: Whether the same may succeed in a moment.
    """

    def __init__(self, said: str, *, passing: bool) -> None:
        super().__init__(said)
        self.passing = passing


class PartlyDelivered(DeliveryFailed):
    """A message got to some of those it was for, and is not to be sent to them again to reach the others.

    Attributes:
        put_off: Those of the others who may be reached later.
    """

    def __init__(self, said: str, *, put_off: tuple[str, ...]) -> None:
        super().__init__(said, passing=False)
        self.put_off = put_off


def deliver(channel: Channel, message: Message) -> None:
    """Send a message; what may pass is tried again, after a wait that doubles.

    Raises:
        DeliveryFailed: It was not taken.
        PartlyDelivered: It was, but not for all.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    for attempt in Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
        retry=retry_if_exception(lambda error: isinstance(error, DeliveryFailed) and error.passing),
        reraise=True,
    ):
        with attempt:
            try:
                _send(channel, message)
            except MissingSecret as error:
                raise DeliveryFailed(str(error), passing=False) from None


def signature(key: str, timestamp: str, body: bytes) -> str:
    """``sha256=`` and the HMAC-SHA256 (RFC 2104) of ``<timestamp>.<body>``, in hexadecimal."""
    return "sha256=" + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _send(channel: Channel, message: Message) -> None:
    if isinstance(channel, Slack):
        _post(secret(channel.url_env).get_secret_value(), json.dumps({"text": slack_text(message)}).encode(), {})
    elif isinstance(channel, Webhook):
        body, now = message.to_json().encode(), str(int(time.time()))
        headers = {TIMESTAMP: now, DELIVERY: message.id}
        if channel.secret_env:
            headers[SIGNATURE] = signature(secret(channel.secret_env).get_secret_value(), now, body)
        _post(channel.url or secret(channel.url_env or "").get_secret_value(), body, headers)
    elif isinstance(channel, Email):
        _mail(channel, message)
    else:  # pragma: no cover - there are no others
        raise TypeError(type(channel))


def slack_text(message: Message) -> str:
    """A message in Slack's markup; what stands in it cannot mention anyone or hide a link."""

    def plain(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    emoji = ":white_check_mark:" if message.state == "resolved" else _EMOJI.get(message.severity, "")
    body = plain(message.body).replace("```", "'''")
    cut = body if len(body) <= _SLACK_LIMIT else f"{body[:_SLACK_LIMIT]}…"
    return f"{emoji} *{plain(message.subject)}*\n```{cut}```"


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    import httpx

    try:
        # No redirects: the message goes where it was declared to go. Only the status is asked for: the limit is on
        # each part of an answer, and one that trickles in would keep the night for ever.
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers={"Content-Type": "application/json", **headers}) as answer,
        ):
            _require_taken(answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if _is_refused_certificate(error):
            raise DeliveryFailed("the server's certificate is not trusted", passing=False) from None
        # Their messages may hold the address.
        passing = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
        raise DeliveryFailed(f"the server cannot be reached ({type(error).__name__})", passing=passing) from None


def _is_refused_certificate(error: BaseException | None) -> bool:
    """Whether an error goes back to one; httpx calls it as a server that is away."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _require_taken(answer: "httpx.Response") -> None:
    if not answer.is_success:
        passing = answer.status_code in (408, 425, 429) or answer.status_code >= 500
        raise DeliveryFailed(f"the server answered {answer.status_code}", passing=passing)


def to_mail(channel: Email, message: Message) -> EmailMessage:
    """A message as a mail."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, channel.sender, ", ".join(channel.to)
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = f"<{message.id}@{channel.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.body)
    return mail


def _mail(channel: Email, message: Message) -> None:
    password = secret(channel.password_env).get_secret_value() if channel.password_env else None
    port = channel.port or {"starttls": 587, "tls": 465, "none": 25}[channel.security]
    try:
        with _server(channel, port) as server:
            if channel.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if channel.username is not None and password is not None:
                server.login(channel.username, password)
            refused = server.send_message(to_mail(channel, message))
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        said = f"the mail server takes no mail for these recipients: {', '.join(map(str, codes))}"
        raise DeliveryFailed(said, passing=codes[0] < 500) from None
    except smtplib.SMTPResponseException as error:
        what = "refused the login" if isinstance(error, smtplib.SMTPAuthenticationError) else "answered"
        raise DeliveryFailed(f"the mail server {what}: {error.smtp_code}", passing=error.smtp_code < 500) from None
    except (smtplib.SMTPException, OSError) as error:
        passing = not isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)
        raise DeliveryFailed(f"the mail server cannot be used ({type(error).__name__})", passing=passing) from None
    if refused:
        put_off = tuple(sorted(to for to, (code, _) in refused.items() if code < 500))
        gone = sorted(refused.keys() - set(put_off))
        parts = [f"the mail server takes no mail for {', '.join(gone)}"] if gone else []
        parts += [f"the mail server puts off {', '.join(put_off)}, who are written to later"] if put_off else []
        raise PartlyDelivered("; ".join(parts), put_off=put_off)


def _server(channel: Email, port: int) -> Any:
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host, port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(channel.host, port, timeout=TIMEOUT_SECONDS)
