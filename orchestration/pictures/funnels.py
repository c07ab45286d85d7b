"""Funnels: how many users reach each step, and how many go no further."""

import re
import unicodedata
from typing import NamedTuple

import duckdb

from orchestration.pictures.drawing import SMALL, Drawing, Picture
from orchestration.pictures.frame import legend
from orchestration.pictures.words import counted, lasting, percent, tip

ROW, BAR = 52.0, 24.0
LABEL, BARS, SAID = 172.0, 280.0, 290.0


class Step(NamedTuple):
    """A step of a funnel and its counts, as `funnel_steps` has them."""

    name: str
    users: int
    from_previous: float | None
    from_start: float | None
    median_seconds: float | None
    in_progress: int
    dropped: int


def funnel_bars(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """A picture for every declared funnel, over all of the history."""
    rows = connection.execute(
        """
        select
            funnel, step_name, users, from_previous, from_start, median_seconds_from_previous,
            coalesce(in_progress, 0) as in_progress, coalesce(dropped, 0) as dropped
        from marts.funnel_steps
        where entry_grain = 'all' and breakdown = 'all'
        order by funnel, step_number
        """
    ).fetchall()
    funnels: dict[str, list[Step]] = {}
    for name, *step in rows:
        funnels.setdefault(name, []).append(Step(*step))
    taken: set[str] = set()
    return [
        Picture(
            name=_file_name(f"funnel-{name}", taken),
            mart="funnel_steps",
            title=f"Funnel: {tip(name)}",
            reading="Each bar is the users who got that far, out of all who entered; orange are those who stopped "
            "at the step before, grey those of them whose window is still open.",
            description="Users by step: "
            + ", ".join(f"{counted(step.users)} {tip(step.name)}" for step in steps)
            + ("." if steps[0].users else "; nobody has entered it."),
            topic="Funnels",
            drawing=_bars(steps),
        )
        for name, steps in funnels.items()
    ]


def _bars(steps: list[Step]) -> Drawing:
    drawing, per_user = Drawing(30 + ROW * len(steps)), BARS / max(steps[0].users, 1)
    looks = ("first", "reached the step"), ("third", "stopped at the step before"), ("fourth", "may still go on")
    legend(drawing, looks, y=14, x=LABEL)
    for number, step in enumerate(steps):
        y, end, right = 30 + ROW * number, LABEL + step.users * per_user, LABEL + BARS + 14
        users = f"{counted(step.users)} users"
        drawing.text(LABEL - 12, y + BAR / 2 + 5, step.name, anchor="end", width=LABEL - 20, look="bold")
        drawing.rect(LABEL, y, BARS, BAR, "track", radius=2)
        drawing.rect(LABEL, y, end - LABEL, BAR, "first", radius=2, told=f"{tip(step.name)}: {users}")
        if not number:
            drawing.text(right, y + 17, users)
            continue
        before = _last_to_stop_at(steps[:number], step)
        waiting = before.in_progress * per_user
        told = f"{counted(before.in_progress)} may still go on"
        drawing.rect(end, y, waiting, BAR, "fourth", told=told)
        told = f"{counted(before.dropped)} stopped at the step before"
        drawing.rect(end + waiting, y, before.dropped * per_user, BAR, "third", told=told)
        drawing.text(right, y + 11, f"{users} · {percent(step.from_start)} of all")
        note = f"{percent(step.from_previous)} of the step before"
        note += f" · median {lasting(step.median_seconds)}" if step.median_seconds is not None else ""
        drawing.text(right, y + 27, note, look="muted", size=SMALL, width=SAID)
    return drawing


def _last_to_stop_at(before: list[Step], step: Step) -> Step:
    """The step before at which users may stop: at one that may be skipped none does, though not all take it."""
    for earlier in reversed(before):
        if earlier.in_progress or earlier.dropped or earlier.users == step.users:
            return earlier
    return before[0]


def _file_name(name: str, taken: set[str]) -> str:
    """A file's name in plain letters, like no other."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub("[^a-z0-9]+", "-", letters).strip("-")[:48].strip("-")
    number, free = 1, slug
    while free in taken:
        number += 1
        free = f"{slug}-{number}"
    taken.add(free)
    return free
