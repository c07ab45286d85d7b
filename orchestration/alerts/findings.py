"""What there is to alert of: a run's failures and gates, late dumps and marts, and the rules over the marts."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.alerts.alert import Alert
from orchestration.alerts.book import Book
from orchestration.alerts.declared import Alerts, Kind, Rule, Severity
from orchestration.alerts.query import Answer, QueryFailed, ask, published_marts
from orchestration.nights.outcome import Check, Outcome

ROWS_TOLD = 5
_LINES_TOLD = 40
_OF_DUMPS = frozenset({"something_is_loaded", "every_file_could_be_read"})


@dataclass(kw_only=True)
class Findings:
    """Which alerts hold, and of which keys it is known whether they do."""

    firing: list[Alert] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def note(self, key: str, alert: Alert | None) -> None:
        """Note how one alert stands."""
        self.keys.add(key)
        if alert is not None:
            self.firing.append(alert)


def of_run(outcome: Outcome) -> Findings:
    """A failed run, a blocked publication, and checks that failed without blocking."""
    found = Findings()
    failure, blocked = f"failure/{outcome.job}", f"blocked/{outcome.job}"
    closed = outcome.blocked_by
    if outcome.failures and not outcome.succeeded:
        found.note(
            failure,
            Alert(
                key=failure,
                kind="failure",
                severity="critical",
                title=f"The run {outcome.job} failed at {', '.join(outcome.failures)}",
                text=_cut("\n".join(outcome.failures.values())),
            ),
        )
    else:
        found.note(failure, None)
    if closed:
        title = f"Not published: {len(closed)} gates failed" if len(closed) > 1 else "Not published: a gate failed"
        text = _cut("\n".join(f"{check.name} failed. {check.said}".strip() for check in closed))
        facts = "\n".join(sorted(check.name for check in closed))
        found.note(
            blocked, Alert(key=blocked, kind="blocked", severity="critical", title=title, text=text, facts=facts)
        )
    elif outcome.succeeded:
        found.note(blocked, None)
    for check in outcome.checks:
        key = f"check/{check.name}"
        found.note(key, _of_check(key, check) if not check.passed and check not in closed else None)
    return found


def _of_check(key: str, check: Check) -> Alert:
    asset, _, name = check.name.partition(": ")
    kind: Kind = "check"
    severity: Severity = "critical" if check.blocks else "info"
    if name in _OF_DUMPS:
        kind, severity = "missing_dump", "warning"
    elif "drift" in name or name.endswith("_look_as_they_did"):
        kind, severity = "drift", "warning"
    title = f"{asset}: {name.replace('_', ' ')} does not hold"
    return Alert(key=key, kind=kind, severity=severity, title=title, text=_cut(check.said))


def of_marts(published: Path, declared: Alerts, now: datetime) -> Findings:
    """Marts that nobody has brought up to date for long; nothing where none were ever published."""
    found, key = Findings(), "stale/marts"
    try:
        with published_marts(published) as connection:
            query = "select arg_max(published_at, publication_number) from marts.ops.publications"
            (last,) = connection.execute(query).fetchall()[0]
    except duckdb.Error:
        return found
    limit = declared.stale.after_hours
    hours = (now - last).total_seconds() / 3600 if last else 0.0
    late = Alert(
        key=key,
        kind="stale",
        severity="critical",
        title=f"The marts are stale: nothing was published since {last:%Y-%m-%d %H:%M} UTC" if last else "",
        text=f"That is {hours:,.0f} hours ago; at most {limit:g} are allowed (alerts.stale.after_hours).",
        facts=str(last),
    )
    found.note(key, late if hours > limit else None)
    return found


def of_dumps(
    catalog: Path, sources: Mapping[str, Any], declared: Alerts, now: datetime, open_keys: Iterable[str] = ()
) -> Findings:
    """Sources of which no dump arrived for long; nothing of those of which none ever did, which a gate tells.

    What is open of a source that is gone no longer holds: nobody asks after its dumps any more.
    """
    found = Findings()
    found.keys |= {key for key in open_keys if (source := _source_of(key)) is not None and source not in sources}
    if not catalog.exists():
        return found
    with closing(sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        newest = dict(connection.execute("select source, max(loaded_at) from loads group by source").fetchall())
    for source in sources:
        if source not in newest:
            continue
        limit = declared.missing_dump.sources.get(source, declared.missing_dump.after_hours)
        last = datetime.fromisoformat(newest[source])
        key = f"missing_dump/{source}"
        late = Alert(
            key=key,
            kind="missing_dump",
            severity="warning",
            title=f"No new dump of {source} since {last:%Y-%m-%d %H:%M} UTC",
            text=(
                f"That is {(now - last).total_seconds() / 3600:,.0f} hours ago; at most {limit:g} are allowed "
                f"(alerts.missing_dump)."
            ),
            facts=str(last),
        )
        found.note(key, late if now - last > timedelta(hours=limit) else None)
    return found


def _source_of(key: str) -> str | None:
    """The source that an alert is about; None where it is about none."""
    for prefix in ("missing_dump/", "check/lake/"):
        if key.startswith(prefix):
            return key.removeprefix(prefix).partition(": ")[0]
    return None


def of_rules(published: Path, declared: Alerts, book: Book) -> Findings:
    """The declared rules over the marts as they are published."""
    found = Findings()
    # A rule that is gone no longer holds.
    found.keys |= {f"{kind}/{name}" for key in book.open_keys() for kind, _, name in [key.partition("/")]
                   if kind in ("rule", "broken_rule") and name not in declared.rules}  # fmt: skip
    book.forget_rules(declared.rules)
    if not declared.rules or not published.exists():
        return found
    with published_marts(published) as connection:
        query = "select publication_id from marts.ops.publications order by publication_number desc limit 1"
        (publication,) = connection.execute(query).fetchall()[0]
        for name, rule in declared.rules.items():
            key, broken = f"rule/{name}", f"broken_rule/{name}"
            try:
                answer = ask(connection, rule.sql, rule.when, by_day=rule.by_day)
                holds = (
                    days_on_end(answer) >= rule.times
                    if rule.by_day
                    else book.times_held(name, publication, any(answer.held)) >= rule.times
                )
            except QueryFailed as error:
                title = f"The rule {name} has no answer"
                found.note(broken, Alert(key=broken, kind="rule", severity="warning", title=title, text=str(error)))
                continue
            found.note(broken, None)
            found.note(key, _of_rule(key, name, rule, answer) if holds else None)
    return found


def days_on_end(answer: Answer) -> int:
    """On how many days the condition holds, counted back from the last one of the answer without a gap.

    Raises:
        QueryFailed: The answer has no column `day`, or no days in it.
    """
    if "day" not in answer.columns:
        raise QueryFailed("a rule `for` days needs a column `day` in its answer")
    column = answer.columns.index("day")
    held: dict[Any, bool] = {}
    for row, holds in zip(answer.rows, answer.held, strict=True):
        try:
            day = datetime.fromisoformat(str(row[column])).date()
        except ValueError:
            raise QueryFailed(f"the column `day` holds {row[column]!r}, which is no day") from None
        held[day] = held.get(day, False) or holds
    if not held:
        return 0
    day, count = max(held), 0
    while held.get(day, False):
        day, count = day - timedelta(days=1), count + 1
    return count


def _of_rule(key: str, name: str, rule: Rule, answer: Answer) -> Alert:
    lasting = "" if rule.times == 1 else f" for {rule.lasting}"
    rows = [row for row, holds in zip(answer.rows, answer.held, strict=True) if holds]
    said = [", ".join(f"{c} {_value(v)}" for c, v in zip(answer.columns, row, strict=True)) for row in rows[:ROWS_TOLD]]
    more = [f"and {len(rows) - ROWS_TOLD:,} rows more"] if len(rows) > ROWS_TOLD else []
    return Alert(
        key=key,
        kind="rule",
        severity=rule.severity,
        title=f"{name}: {rule.when}{lasting}",
        text=_cut("\n".join([*([rule.description] if rule.description else []), *said, *more])),
        # Its numbers are others every night.
        facts=f"{rule.sql}\n{rule.when}\n{rule.lasting}",
    )


def _value(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    lines = text.splitlines()
    left = len(lines) - _LINES_TOLD
    return "\n".join([*lines[:_LINES_TOLD], *([f"and {left} lines more, in the log"] if left > 0 else [])])
