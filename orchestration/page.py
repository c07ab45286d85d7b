"""The page a night leaves for people: headline numbers and every picture, with what it means, in one file."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from markdown_it import MarkdownIt
from markupsafe import Markup

from orchestration.pictures.drawing import Picture
from orchestration.pictures.gallery import draw_all
from orchestration.pictures.palette import FONT, stylesheet
from orchestration.pictures.words import counted, percent, plain
from orchestration.publish import PICTURES
from orchestration.settings import PROJECT_ROOT
from orchestration.templates import templates

REPORT = "report.html"

_DEFINITIONS = "## What the numbers mean"
_TEMPLATE = "page.html.jinja"


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One number of the last full day, and of the same weekday a week before.

    Attributes:
        name: What is counted.
        value: How many, as written.
        change: Against the week before, in words; empty where the data do not reach back so far.
    """

    name: str
    value: str
    change: str


def compose(connection: duckdb.DuckDBPyConnection, *, timezone: str, published_at: datetime) -> dict[str, str]:
    """The report and its pictures, by their paths below ``published/``.

    No user is named in them: they hold counts, declared names, and names of steps that several users took.

    Args:
        connection: The open warehouse; marts that are not built are left out.
        timezone: The reporting time zone.
        published_at: UTC, without zone.
    """
    pictures = draw_all(connection)
    environment = templates()
    environment.filters.update(counted=counted, plain=plain)
    last_day, headlines = headline_numbers(connection)
    page = environment.get_template(_TEMPLATE).render(
        style=Markup(stylesheet()),  # noqa: S704 - our own colours
        font=Markup(FONT),  # noqa: S704
        timezone=timezone,
        published_at=f"{published_at:%Y-%m-%d %H:%M}",
        last_day=last_day,
        headlines=headlines,
        freshness=_freshness(connection, timezone, published_at),
        totals=_totals(connection),
        sources=_sources(connection),
        figures=[_figure(picture) for picture in pictures],
    )
    return {**{f"{PICTURES}/{picture.name}.svg": picture.to_file() for picture in pictures}, REPORT: page}


@cache
def definitions() -> dict[str, str]:
    """The README's paragraphs on what the numbers mean, by their first words, as Markdown."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition(_DEFINITIONS)[2].partition("\n## ")[0]
    found = (re.match(r"\*\*(.+?)\.\*\* (.+)", " ".join(part.split())) for part in section.split("\n\n"))
    return {match[1]: match[2] for match in found if match}


def headline_numbers(connection: duckdb.DuckDBPyConnection) -> tuple[date | None, list[Headline]]:
    """The last full day and its numbers; no day where the data have none."""
    if not _has(connection, "active_users", "user_days", "sessions"):
        return None, []
    found = connection.execute(
        "select min(activity_date), max(activity_date) from marts.active_users where is_complete"
    ).fetchall()
    first, last = found[0]
    if last is None:
        return None, []
    rows = connection.execute(
        """
        with days as (
            select unnest([cast(? as date), cast(? as date) - 7]) as day
        ),
        activity as (
            select activity_date as day, count(*) as users, sum(events) as events, sum(key_events) as key_events,
                sum(revenue) as revenue
            from marts.user_days where activity_date in (select day from days) group by all
        ),
        visits as (
            select session_date as day, count(*) as sessions
            from marts.sessions where session_date in (select day from days) group by all
        )
        select coalesce(users, 0), coalesce(sessions, 0), coalesce(events, 0), coalesce(key_events, 0),
            coalesce(revenue, 0)
        from days left join activity using (day) left join visits using (day)
        order by days.day desc
        """,
        [last, last],
    ).fetchall()
    reaches_back = (last - first).days >= 7
    names = "users", "sessions begun", "events", "key events", "revenue"
    headlines = []
    for name, now, before in zip(names, *rows, strict=True):
        said = f"{float(now):,.2f}" if name == "revenue" else counted(now)
        headlines.append(Headline(name=name, value=said, change=_change(now, before) if reaches_back else ""))
    return last, headlines


def _change(now: Any, before: Any) -> str:
    if not before:
        return "none the week before" if now else "as the week before"
    share = float(now) / float(before) - 1
    if abs(share) < 0.0005:
        return "as the week before"
    return f"{'▲' if share > 0 else '▼'} {percent(abs(share))} on the week before"


def _freshness(connection: duckdb.DuckDBPyConnection, timezone: str, published_at: datetime) -> dict[str, str] | None:
    """When the data begin and end, and how old they were when they were published."""
    query = "select min(first_event_ts), max(last_event_ts) from ops.loads where status = 'live'"
    first, last = connection.execute(query).fetchall()[0]
    if last is None:
        return None
    local = last.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(timezone))
    hours = (published_at - last).total_seconds() / 3600
    return {
        "first": f"{first:%Y-%m-%d}",
        "last": f"{last:%Y-%m-%d %H:%M} UTC",
        "local": f"{local:%Y-%m-%d %H:%M}",
        "age": f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days",
    }


def _totals(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return {
        mart: connection.execute(f"select count(*) from marts.{mart}").fetchall()[0][0]
        for mart in ("events", "sessions", "users")
        if _has(connection, mart)
    }


def _sources(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int, int, int, datetime]]:
    """(source, files, rows, rejected rows, last event) of all that is loaded."""
    return connection.execute(
        """
        select source, count(*), sum(rows)::bigint, sum(rejected)::bigint, max(last_event_ts)
        from ops.loads where status = 'live' group by source order by source
        """
    ).fetchall()


def _figure(picture: Picture) -> dict[str, Any]:
    meaning = MarkdownIt("commonmark", {"html": False}).renderInline(definitions().get(picture.topic, ""))
    return {
        "picture": picture,
        "svg": Markup(picture.to_part()),  # noqa: S704 - written by an XML library, which has escaped it
        # A link would lead off the page.
        "meaning": Markup(re.sub(r"</?a\b[^>]*>", "", meaning)),  # noqa: S704 - Markdown of our README, HTML off
    }


def _has(connection: duckdb.DuckDBPyConnection, *marts: str) -> bool:
    built = connection.execute(
        """
        select table_name from duckdb_tables() where database_name = current_database() and schema_name = 'marts'
        union all
        select view_name from duckdb_views() where database_name = current_database() and schema_name = 'marts'
        """
    ).fetchall()
    return {(mart,) for mart in marts} <= set(built)
