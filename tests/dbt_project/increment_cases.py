"""What increments are tested on: declarations, when histories begin, and histories of what is easily got wrong."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.conftest import cohorts, funnel
from tests.dbt_project.histories import (
    DAY,
    DONE,
    FUNNELS,
    FUNNELS_WITH_OPTIONS,
    File,
    Happened,
    Night,
    Project,
    difference_from_full_rebuild,
)


@dataclass(frozen=True)
class Case:
    """What is declared, and when histories begin: close before a midnight or a change of the clock there."""

    start: datetime
    variables: dict[str, Any]


CASES = {
    # Midnight is at 18:15 UTC, in the middle of a slice.
    "Kathmandu": Case(
        datetime(2025, 2, 28, 16, 45),
        {
            "reporting_timezone": "Asia/Kathmandu",
            "funnels": FUNNELS,
            # Of two countries as frequent, either may come to share a cohort with the third one.
            "cohorts": cohorts(
                brackets=["0", "1-2", "1-30", "31-93"],
                properties=["source", "country", "first_utm_source"],
                top_values=1,
            ),
            # As users come, ever fewer of them are looked at in the past.
            "training": {"snapshots": 2},
        },
    ),
    # At midnight, 02:00 UTC, clocks go back to 23:00.
    "Sao Paulo": Case(
        datetime(2018, 2, 18, 0, 30),
        {
            "reporting_timezone": "America/Sao_Paulo",
            "funnels": [*FUNNELS[:2], *FUNNELS_WITH_OPTIONS],
            "cohorts": cohorts(anchor="page_view", brackets=[], properties=["source", "platform"], top_values=2),
            "sessions": {"timeout_minutes": 45},
        },
    ),
}

MORE_CASES = {
    # Summer time begins at 01:00 UTC.
    "London": Case(
        datetime(2025, 3, 29, 23, 0),
        {
            "reporting_timezone": "Europe/London",
            "funnels": [*FUNNELS[2:], *FUNNELS_WITH_OPTIONS],
            "cohorts": cohorts(
                anchor="first_key_event",
                grains=["week", "month"],
                brackets="1-29",
                properties=["source", "platform", "country", "first_utm_source", "first_utm_medium"],
            ),
            "rfm": {"lookback_days": 35},
        },
    ),
    # Midnight is at 18:30 UTC.
    "Kolkata": Case(
        datetime(2024, 2, 27, 17, 0),
        {
            "reporting_timezone": "Asia/Kolkata",
            "funnels": FUNNELS[1:3],
            "cohorts": cohorts(anchor="purchase", grains="day", properties=["country"], top_values=2),
            "rfm": {"lookback_days": 3},
        },
    ),
    # Summer time ends at 01:00 UTC.
    "London in autumn": Case(
        datetime(2025, 10, 25, 22, 30),
        {
            "reporting_timezone": "Europe/London",
            "funnels": [*FUNNELS, *FUNNELS_WITH_OPTIONS],
            "sessions": {"timeout_minutes": 10},
        },
    ),
    "Lisbon": Case(
        datetime(2025, 2, 28, 9, 0),
        {
            "reporting_timezone": "Europe/Lisbon",
            "funnels": [
                funnel(
                    "posthog by segment",
                    ["page_view", "view"],
                    window=DAY,
                    semantics="posthog",
                    exclusions=["other"],
                    breakdown={"by": "users.rfm_segment", "top": 2},
                )
            ],
        },
    ),
    # One minute after midnight, 02:31 UTC, clocks went back to 23:01 of the day before.
    "St John's": Case(
        datetime(2010, 11, 7, 1, 30),
        {
            "reporting_timezone": "America/St_Johns",
            "funnels": [FUNNELS[0], *FUNNELS_WITH_OPTIONS[2:4]],
            "cohorts": cohorts(anchor="first_key_event", grains=["day", "month"], properties=["first_utm_source"]),
            "rfm": {"lookback_days": 35},
        },
    ),
}


@cache
def project(name: str) -> Project:
    return Project.parse({**CASES, **MORE_CASES}[name].variables)


def differences(name: str, history: list[Night], mutant: Project | None = None) -> list[str]:
    return difference_from_full_rebuild(project(name), {**CASES, **MORE_CASES}[name].start, history, mutant)


MANY = settings(max_examples=8, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))
FEW = settings(MANY, max_examples=2, phases=[Phase.generate])


def at(minute: int, event_id: str, person: str, name: str = "view", **rest: Any) -> Happened:
    """An event of somebody, `ada`, or on a device, `@phone`, or of one on the other: `ada@phone`."""
    user, _, device = person.partition("@")
    unknown = dict.fromkeys(("page", "platform", "utm_source", "revenue"))
    usual = {"source": "web", "day": 0, "tick": 0, "user_id": user or None, "anonymous_id": device or None}
    return Happened(**{**unknown, **usual, **rest}, event_id=event_id, minute=minute, event_name=name)


def night(*files: list[Happened], went: tuple[int, ...] = ()) -> Night:
    return Night(tuple(File(tuple(file)) for file in files), went, DONE)


# What is common turns into what is not, and back, long after those periods are over.
VALUES_THAT_TURN = [
    night(
        [at(0, "1", "ada", platform="ios"), at(0, "2", "bob", platform="web", day=1)],
        [at(0, "3", "cyd", platform="ios", day=30), at(0, "9", "gus", day=180)],
    ),
    night([at(0, "4", "dan", platform="web", day=180), at(0, "5", "eve", platform="web", day=180)]),
    night([at(0, "6", "fay", platform="ios", day=93)], went=(2,)),
    night([at(0, "7", "hal", day=180), at(10, "8", "ada", "purchase", day=180)]),
]

# After midnight, long over, with a month of its own for each of the two days.
ENTRY_THAT_CONVERTS_LATE = [
    night([at(0, "1", "ada"), at(0, "2", "gus", day=93)]),
    night([at(120, "3", "ada", "page_view"), at(130, "4", "ada", "purchase")]),
]


def buys(person: str, times: int) -> list[Happened]:
    return [at(number, f"{person}-{number}", person, "purchase", revenue=times) for number in range(times)]


# Who bought least comes late, and who bought most goes: all others are in higher fifths, as of months long over.
BUYERS = night(buys("ada", 2), buys("bob", 3), buys("cyd", 4), buys("dan", 5), [at(0, "1", "gus", day=93)])
SCORES_THAT_MOVE = [BUYERS, night([at(0, "2", "gus", day=180)]), night(buys("eve", 1), went=(3, 5))]

# A buyer comes back, or buys something on the last day but one: as of months before, all stand where they stood.
SCORES_THAT_STAND = [
    [BUYERS, night([at(0, "2", "dan", day=180)])],
    [BUYERS, night([at(0, "2", "dan", "purchase", day=92, revenue=9)])],
]

# What comes and goes on Monday does not reach Wednesday's entries, but decides which is the best of week and month.
ENTRIES_THAT_ARE_OUTDONE = [
    night(
        [at(0, "1", "ada", day=5), at(0, "2", "bob", day=5), at(0, "3", "gus", day=93)],
        [at(0, "4", "bob", day=3)],
    ),
    night([at(0, "5", "ada", day=3)], went=(1,)),
]

# What becomes of the visitor on the phone, ada tells, who logs in there on the 93rd day only. What becomes of others is
# known once the data reach so far, and no longer when they do not: that of some Mondays is by fay, that of a later one
# was by gus.
OUTCOMES_THAT_TURN = [
    night([at(0, "1", "@phone"), at(0, "2", "ada@phone", day=93), at(0, "3", "dan", day=93)]),
    night([at(0, "4", "ada", "purchase", day=4)]),
    night([at(0, "5", "fay", day=130)], [at(0, "6", "gus", day=137)]),
    night(went=(3,)),
]
