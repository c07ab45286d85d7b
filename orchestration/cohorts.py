"""How `avila.yml` groups users: in cohorts, and by how recently, often and richly they bought."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from orchestration.declared import Declared, list_of_one


def _day_as_text(value: object) -> object:
    return str(value) if type(value) is int else value


def _list_of_a_day(value: object) -> object:
    return list_of_one(_day_as_text(value))


def _bracket(value: str) -> str:
    """Check a bracket of days.

    Raises:
        ValueError: It is none, or ends before it begins.
    """
    match = re.fullmatch(r"(\d{1,4})(?: *- *(\d{1,4}))?", value.strip())
    if not match:
        raise ValueError(f"{value!r} is no bracket; write the days since the anchor as 1-7, or one day as 7")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"{value!r} ends before it begins; did you mean {last}-{first}?")
    return f"{first}-{last}" if match[2] else str(first)


Grains = Annotated[tuple[Literal["day", "week", "month"], ...], BeforeValidator(list_of_one)]
Bracket = Annotated[str, BeforeValidator(_day_as_text), AfterValidator(_bracket)]
CohortProperty = Literal["source", "country", "platform", "first_utm_source", "first_utm_medium", "first_utm_campaign"]


class Cohorts(Declared):
    """What puts a user into a cohort, in which calendar periods, and how cohorts are told apart.

    Attributes:
        anchor: `first_seen`, `first_key_event`, or an event's name, whose first time it is.
        grains: The calendar periods that cohorts and retention are counted in.
        brackets: Days since the user's anchor, both ends included, such as `1-7`; a day alone is a bracket, too.
        properties: What cohorts are told apart by, as it was at the user's anchor.
        top_values: How many values of a property have cohorts of their own; users of others share one.
    """

    anchor: str = Field(default="first_seen", min_length=1)
    grains: Grains = Field(default=("day", "week", "month"), min_length=1)
    brackets: Annotated[tuple[Bracket, ...], BeforeValidator(_list_of_a_day)] = ("1-7", "8-14", "15-30")
    properties: Annotated[tuple[CohortProperty, ...], BeforeValidator(list_of_one)] = ()
    top_values: int = Field(default=10, ge=1, le=1000)

    @field_validator("grains", "brackets", "properties")
    @classmethod
    def _said_once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is said twice; keep one of the two")
        return values

    def bracket_days(self) -> list[dict[str, Any]]:
        """The brackets by name, with their first and last day."""
        spans = [(bracket, *map(int, bracket.split("-"))) for bracket in self.brackets]
        return [
            {"name": name, "first_day": first, "last_day": last[-1] if last else first} for name, first, *last in spans
        ]


class Rfm(Declared):
    """Over how many days before a date RFM looks; without, over all."""

    lookback_days: int | None = Field(default=None, ge=1)
