"""What `avila.yml` says of alerts: where they go, when marts and dumps are late, and rules over the marts.

Addresses that are secrets, passwords and keys stand in the environment; the file names the variables.
"""

import os
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from orchestration.alerts.query import checked_condition, checked_query
from orchestration.declared import Declared, list_of_one

Severity = Literal["info", "warning", "critical"]
Kind = Literal["failure", "blocked", "missing_dump", "stale", "drift", "check", "rule"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class MissingSecret(Exception):  # noqa: N818 - reads as what happened
    """An environment variable that `avila.yml` names is not set."""


def _variable(value: object) -> str:
    """Check the name of an environment variable; what it is given may be a secret, so no message repeats it.

    Raises:
        ValueError: It is no name.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ValueError(
            "expected the name of an environment variable, in capitals, such as AVILA_ALERT_KEY; the secret itself "
            "must not stand in this file. If one did, take it for known and replace it"
        )
    return value


Variable = Annotated[str, BeforeValidator(_variable)]


def secret(variable: str) -> SecretStr:
    """The secret in an environment variable.

    Raises:
        MissingSecret: It is not set, or empty.
    """
    value = os.environ.get(variable, "")
    if not value:
        raise MissingSecret(f"the environment variable {variable} is not set")
    return SecretStr(value)


class Channel(Declared):
    """Where alerts go: those at least so severe, and of these kinds."""

    min_severity: Severity = "warning"
    kinds: Annotated[tuple[Kind, ...], BeforeValidator(list_of_one)] = ()

    def takes(self, kind: str, severity: str) -> bool:
        """Whether an alert goes here."""
        severe = SEVERITIES.index(severity) >= SEVERITIES.index(self.min_severity)
        return severe and (not self.kinds or kind in self.kinds)

    def narrowed(self, recipients: Collection[str] | None) -> "Channel | None":
        """The channel for some of its recipients alone, for all where none are named; None where none is left."""
        return self

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, said: object) -> object:
        """Refuse secrets by the names that people give them.

        Raises:
            ValueError: There is one; the message does not repeat it.
        """
        for key in said if isinstance(said, Mapping) else ():
            if str(key) not in cls.model_fields and re.search(
                "password|passwd|secret|token|key$|^url$|^webhook", str(key), re.I
            ):
                named = [field for field in cls.model_fields if field.endswith("_env")]
                to = f"{key}_env" if f"{key}_env" in named else named[0]
                raise ValueError(
                    f"`{key}` is a secret and must not stand in this file; put it into an environment variable and "
                    f"name that here, such as `{to}: AVILA_ALERT_{to.removesuffix('_env').upper()}`"
                )
        return said


class Slack(Channel):
    """An incoming webhook as Slack, Mattermost and Rocket.Chat have them. Whoever knows its address may post."""

    url_env: Variable


class Webhook(Channel):
    """An address that takes JSON by POST, signed with HMAC-SHA256 where a key is named."""

    url: str | None = None
    url_env: Variable | None = None
    secret_env: Variable | None = None

    @model_validator(mode="after")
    def _one_address(self) -> "Webhook":
        if (self.url is None) == (self.url_env is None):
            raise ValueError("expected either `url`, or `url_env` where the address is a secret")
        return self

    @field_validator("url", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address that begins with http:// or https://")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                "an address with a password or a query may be a secret; put it into an environment variable and "
                "name that as `url_env`"
            )
        return value


class Email(Channel):
    """A mail server and who is written to. `starttls` and `tls` verify the server's certificate."""

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(alias="from", pattern=r"^[^@\s]+@[^@\s]+$")
    to: Annotated[tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...], BeforeValidator(list_of_one)] = (
        Field(min_length=1)
    )
    username: str | None = None
    password_env: Variable | None = None

    @model_validator(mode="after")
    def _login(self) -> "Email":
        if (self.username is None) != (self.password_env is None):
            raise ValueError("`username` and `password_env` go together")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is sent by `security: starttls` or `tls` only")
        return self

    def narrowed(self, recipients: Collection[str] | None) -> "Email | None":
        """See `Channel`."""
        left = tuple(each for each in self.to if recipients is None or each in recipients)
        return self.model_copy(update={"to": left}) if left else None


class Lateness(Declared):
    """After how many hours something is late; `sources` may have limits of their own."""

    after_hours: float = Field(default=36, gt=0)
    sources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)


class Staleness(Declared):
    """After how many hours without a publication the marts are stale."""

    after_hours: float = Field(default=36, gt=0)


class Rule(Declared):
    """An alert on a query over the marts: it fires when the condition holds for so many days or runs on end.

    With days, the query has a column `day`, and a day counts when the condition holds in a row of it. The last day
    of the answer and those right before it are looked at; one that is missing does not count. With runs, a
    publication counts when the condition holds in a row of its answer.
    """

    sql: Annotated[str, AfterValidator(checked_query)]
    when: Annotated[str, AfterValidator(checked_condition)]
    lasting: str = Field(default="1 run", alias="for", pattern=r"^[1-9][0-9]{0,3} (days?|runs?)$")
    severity: Severity = "warning"
    description: str = ""

    @property
    def times(self) -> int:
        """How many days or runs on end."""
        return int(self.lasting.split()[0])

    @property
    def by_day(self) -> bool:
        """Whether days of the answer are counted, not runs."""
        return self.lasting.split()[1].startswith("day")


class Alerts(Declared):
    """Everything `avila.yml` says of alerts. Channels and rules go by the names that they are given."""

    slack: dict[str, Slack] = Field(default_factory=dict)
    webhook: dict[str, Webhook] = Field(default_factory=dict)
    email: dict[str, Email] = Field(default_factory=dict)
    stale: Staleness = Staleness()
    missing_dump: Lateness = Lateness()
    rules: dict[str, Rule] = Field(default_factory=dict)

    @property
    def channels(self) -> dict[str, Channel]:
        """All channels, by kind and name, such as ``slack/team``."""
        return {
            f"{kind}/{name}": channel
            for kind, channels in (("slack", self.slack), ("webhook", self.webhook), ("email", self.email))
            for name, channel in channels.items()
        }


PLACES: dict[tuple[str, ...], Any] = {
    ("alerts",): Alerts,
    ("alerts", "slack", "*"): Slack,
    ("alerts", "webhook", "*"): Webhook,
    ("alerts", "email", "*"): Email,
    ("alerts", "stale"): Staleness,
    ("alerts", "missing_dump"): Lateness,
    ("alerts", "rules", "*"): Rule,
}
"""Which keys may stand where."""
