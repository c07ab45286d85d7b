"""`avila.yml`, read whole into frozen models: the one file that says what to analyse."""

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
)

from orchestration import mistakes
from orchestration.alerts.declared import PLACES as PLACES_OF_ALERTS
from orchestration.alerts.declared import Alerts
from orchestration.cohorts import Cohorts, Rfm
from orchestration.conditions import session_condition
from orchestration.declared import Declared, list_of_one
from orchestration.funnels import Breakdown, Exclusion, Funnel, Step, funnel_variables
from orchestration.gates import Gates
from orchestration.ingestion.sources import (
    CsvOptions,
    Source,
    known_timezone,
    preset_names,
    with_preset,
)
from orchestration.nights.keeping import Keep
from orchestration.schedule import Schedule

PLACEHOLDER_IDS = (
    "",
    "null",
    "undefined",
    "none",
    "nan",
    "00000000-0000-0000-0000-000000000000",
)


class DeclarationError(Exception):
    """A mistake in `avila.yml`; the message names the file, the line, the key and what was expected."""


class Sessions(Declared):
    """When a visit ends: after a gap longer than this."""

    timeout_minutes: float = Field(default=30, gt=0, le=24 * 60)

    @field_validator("timeout_minutes")
    @classmethod
    def _a_second_or_more(cls, value: float) -> float:
        # Slices of the clock are whole seconds long, and none is of no length.
        if value * 60 < 1:
            raise ValueError(f"expected at least a second, which is 0.0167 (it is {value:g})")
        return value


def _site(value: str) -> str:
    """Check the name of a site.

    Raises:
        ValueError: It is an address, or no site's name.
    """
    if not re.fullmatch(r"[a-z0-9-]+([.][a-z0-9-]+)+", value, re.IGNORECASE):
        raise ValueError(f"{value!r} is no site; name it without scheme, port and path, such as shop.example")
    return re.sub("^www[.]", "", value.lower())


def _owner(value: str) -> str:
    """Check who an owner is.

    Raises:
        ValueError: It is neither an e-mail address nor a team.
    """
    if not re.fullmatch(r"team:[\w-]+|[^@\s:]+@[^@\s]+[.][^@\s.]+", value):
        raise ValueError(f"{value!r} is no owner; name a team, such as team:growth, or a person by e-mail address")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(list_of_one)]
Owners = Annotated[tuple[Annotated[str, AfterValidator(_owner)], ...], BeforeValidator(list_of_one)]


class Churn(Declared):
    """Churned: active in the last `active_within_days`, and silent for the next `horizon_days`."""

    horizon_days: int = Field(default=30, ge=1)
    active_within_days: int = Field(default=90, ge=1)


class Conversion(Declared):
    """Converted: did `event` within `horizon_days`."""

    event: str = Field(default="purchase", min_length=1)
    horizon_days: int = Field(default=7, ge=1)
    active_within_days: int = Field(default=90, ge=1)


class Training(Declared):
    """About how many snapshots of the past, at most, models learn from; where there are more, of fewer users."""

    snapshots: int = Field(default=1_000_000, ge=1_000)


class Clv(Declared):
    """How far lifetime value looks ahead, and what a purchase loses of its value in a year, as a share."""

    horizon_days: int = Field(default=90, ge=1, le=3650)
    discount_per_year: float = Field(default=0, ge=0, le=1)


class Paths(Declared):
    """How many steps before and after a key event belong to its path."""

    length: int = Field(default=5, ge=1, le=20)


class Channels(Declared):
    """Which channel a session came by: rules by the name of a channel, before the usual ones.

    A referrer of `own_sites`, or of a site below one, is none.
    """

    own_sites: Annotated[tuple[Annotated[str, AfterValidator(_site)], ...], BeforeValidator(list_of_one)] = ()
    rules: dict[Annotated[str, Field(min_length=1)], Annotated[str, AfterValidator(session_condition)]] = Field(
        default_factory=dict
    )


class Attribution(Declared):
    """How long before a session with a key event another one may share in the credit."""

    lookback_days: int = Field(default=30, ge=1, le=3650)


class Identity(Declared):
    """Texts that stand for no identity at all, in any case."""

    placeholder_ids: tuple[str, ...] = PLACEHOLDER_IDS


class Rejects(Declared):
    """The share of a source's rows that may be rejected before publishing is blocked."""

    max_share: float = Field(default=0.05, ge=0, le=1)


class Declarations(Declared):
    """Everything an analyst declares. Only `sources` is required."""

    reporting_timezone: str = "UTC"
    sources: dict[str, Source] = Field(min_length=1)
    sessions: Sessions = Sessions()
    key_events: Names = ("purchase",)
    page_view_events: Names = ("page_view", "page", "pageview", "$pageview", "screen", "screen_view")
    funnels: dict[str, Funnel] = Field(default_factory=dict)
    cohorts: Cohorts = Cohorts()
    rfm: Rfm = Rfm()
    churn: Churn = Churn()
    conversion: Conversion = Conversion()
    training: Training = Training()
    clv: Clv = Clv()
    paths: Paths = Paths()
    channels: Channels = Channels()
    attribution: Attribution = Attribution()
    identity: Identity = Identity()
    rejects: Rejects = Rejects()
    gates: Gates = Gates()
    schedule: Schedule = Schedule()
    alerts: Alerts = Alerts()
    owners: Owners = ("team:analytics",)
    keep: Keep = Keep()

    @field_validator("reporting_timezone", mode="before")
    @classmethod
    def _known_timezone(cls, value: object) -> str:
        return known_timezone(value)

    @classmethod
    def load(cls, path: Path) -> "Declarations":
        """Read and check an `avila.yml`.

        Raises:
            DeclarationError: The file is missing, is no YAML, or says something that means nothing; all
                mistakes are listed at once, each with its line.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DeclarationError(
                f"{path}: there is no such file; create it, as README.md shows under 'Your own dumps' (AVILA_DATA_DIR "
                f"names the directory it is looked for in)"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DeclarationError(f"{path}: cannot be read ({error}); it must be a YAML file in UTF-8") from None
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            document = yaml.safe_load(text) if root else None
        except yaml.YAMLError as error:
            raise DeclarationError(f"{path}: {mistakes.of_yaml(error, text)}") from None
        found = list(mistakes.duplicate_keys(root)) if root else []
        if root is None or not isinstance(document, dict):
            raise DeclarationError(f"{path}: expected a mapping with at least the key `sources`")
        try:
            declarations = cls.model_validate(_prepared(document))
        except ValidationError as error:
            found += [mistakes.of_value(root, detail, _keys_at) for detail in mistakes.causes(error.errors())]
        if found:
            said = "\n".join(f"  line {line}: {what}" for line, what in sorted(set(found)))
            raise DeclarationError(f"{path}:\n{said}")
        return declarations

    def max_rejected_share(self, source: str) -> float:
        """The share of rejected rows that a source may reach."""
        own = self.sources[source].max_rejected_share
        return self.rejects.max_share if own is None else own

    def dbt_vars(self) -> dict[str, Any]:
        """Everything that decides what the marts hold, but the sources, as plain JSON for `dbt --vars`."""
        said = self.model_dump(mode="json", exclude={"sources", "funnels", "alerts", "owners", "keep", "schedule"})
        said["cohorts"]["brackets"] = self.cohorts.bracket_days()
        said["funnels"] = funnel_variables(self.funnels)
        return said


def _prepared(document: dict[str, Any]) -> dict[str, Any]:
    """Give each source its name, its preset's defaults and the shared list of placeholder ids."""
    sources = document.get("sources")
    identity = document.get("identity")
    placeholders: tuple[str, ...] = PLACEHOLDER_IDS
    if isinstance(identity, dict) and isinstance(identity.get("placeholder_ids"), list):
        placeholders = tuple(str(i) for i in identity["placeholder_ids"])
    if not isinstance(sources, dict):
        return document
    prepared = {}
    for name, declared in sources.items():
        if isinstance(declared, dict):
            unknown = isinstance(declared.get("preset"), str) and declared["preset"] not in preset_names()
            laid = declared if unknown else with_preset(declared)
            prepared[str(name)] = {"name": str(name), "placeholder_ids": placeholders, **laid}
        else:
            prepared[str(name)] = declared
    return {**document, "sources": prepared}


def _keys_at(path: list[str | int]) -> list[str]:
    """The keys that may stand at a place of the file."""
    models: dict[tuple[str, ...], type[BaseModel]] = {
        (): Declarations,
        ("sources", "*"): Source,
        ("sources", "*", "csv"): CsvOptions,
        ("sessions",): Sessions,
        ("funnels", "*"): Funnel,
        ("funnels", "*", "steps", "*"): Step,
        ("funnels", "*", "exclusions", "*"): Exclusion,
        ("funnels", "*", "breakdown"): Breakdown,
        ("cohorts",): Cohorts,
        ("rfm",): Rfm,
        ("churn",): Churn,
        ("conversion",): Conversion,
        ("training",): Training,
        ("clv",): Clv,
        ("paths",): Paths,
        ("channels",): Channels,
        ("attribution",): Attribution,
        ("identity",): Identity,
        ("rejects",): Rejects,
        ("gates",): Gates,
        ("keep",): Keep,
        ("schedule",): Schedule,
        **PLACES_OF_ALERTS,
    }
    names = (2,) if path and path[0] == "alerts" else (1, 3)
    place = tuple("*" if i in names else str(part) for i, part in enumerate(path))
    model = models.get(place)
    hidden = {"name", "optional_columns", "placeholder_ids"} if model is Source else set()
    return [field.alias or key for key, field in model.model_fields.items() if key not in hidden] if model else []
