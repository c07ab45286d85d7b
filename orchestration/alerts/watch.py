"""Looks at how things stand, notes what is new in that, and sends it. Nothing here fails a night."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from dagster import DagsterInstance

from orchestration.alerts.alert import Message
from orchestration.alerts.book import Book
from orchestration.alerts.findings import Findings, of_dumps, of_marts, of_rules, of_run
from orchestration.disk import set_aside
from orchestration.house import House
from orchestration.nights.outcome import outcome_of
from orchestration.nights.stopwatch import utc_now
from orchestration.sqlite_file import is_broken


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What came of a look.

    Attributes:
        messages: What is new.
        sent: How many messages reached a channel, older ones among them.
        not_sent: By channel, why its messages wait in the outbox.
        trouble: What could not be looked at, or told, and why.
    """

    messages: tuple[Message, ...] = ()
    sent: int = 0
    not_sent: tuple[str, ...] = ()
    trouble: str = ""

    def __str__(self) -> str:
        """All of it in a line; empty where there is nothing to say."""
        said = [f"{self.sent} alerts sent"] if self.sent else []
        return "; ".join([*said, *self.not_sent, *([self.trouble] if self.trouble else [])])


def watch(house: House, instance: DagsterInstance | None = None, run_id: str | None = None) -> Watched:
    """Look at a finished run, if there is one, at dumps, marts and rules; tell what is new, and what waits to be told.

    A run is told of once, whoever asks first.
    """
    declared = house.declarations.alerts
    if not declared.channels:
        return Watched()
    try:
        try:
            return _tell(house, instance, run_id)
        except sqlite3.DatabaseError as error:
            if not is_broken(error):
                raise
            # Without a book nothing is ever told again; what this one held open is told once more.
            aside = set_aside(house.settings.alerts, journal="-journal")
            said = f"the book of alerts could not be read ({error}) and was set aside as {aside}"
            told = _tell(house, instance, run_id)
            return replace(told, trouble="; ".join(filter(None, [said, told.trouble])))
    except Exception as error:
        return Watched(trouble=f"alerts could not be told: {type(error).__name__}: {error}")


def _tell(house: House, instance: DagsterInstance | None, run_id: str | None) -> Watched:
    with closing(_book(house)) as book:
        messages, trouble = _look(house, book, instance, run_id)
        sent, not_sent = send(house, book)
    return Watched(messages=tuple(messages), sent=sent, not_sent=tuple(not_sent), trouble="; ".join(trouble))


def _book(house: House) -> Book:
    return Book(house.settings.alerts, warehouse=str(house.settings.root))


def _look(
    house: House, book: Book, instance: DagsterInstance | None, run_id: str | None
) -> tuple[list[Message], list[str]]:
    settings, declared = house.settings, house.declarations.alerts
    published, now = settings.published / "marts.duckdb", utc_now()
    looks: dict[str, Callable[[], Findings]] = {
        "dumps": lambda: of_dumps(
            settings.lake / "catalog.sqlite", house.declarations.sources, declared, now, book.open_keys()
        ),
        "marts": lambda: of_marts(published, declared, now),
        "rules": lambda: of_rules(published, declared, book),
    }
    outcome = outcome_of(instance, run_id) if instance is not None and run_id is not None else None
    with book.transaction():
        if outcome is not None and book.claim(outcome.run_id):
            looks["the run"] = lambda: of_run(outcome)
        found, trouble = [], []
        for what, look in looks.items():
            # A published file that is broken says nothing of the rules; that the run failed is to be told all the same.
            try:
                found.append(look())
            except Exception as error:
                trouble.append(f"alerts of {what} could not be looked at: {type(error).__name__}: {error}")
        decided = set().union(*(part.keys for part in found))
        firing = [alert for part in found for alert in part.firing]
        return book.settle(firing, decided.__contains__, declared.channels, run_id=run_id), trouble


def send(house: House, book: Book) -> tuple[int, list[str]]:
    """Send what waits; gives how many messages were taken, and by channel why others were not.

    A channel that does not answer is asked no more this time; one that refuses a message is asked for the others. One
    that is no longer declared is sent nothing any more.
    """
    sent, away = 0, set[str]()
    trouble: dict[str, str] = {}
    channels = house.declarations.alerts.channels
    with book.sending() as mine:
        waiting = book.waiting() if mine else []
        for number, name, text in waiting:
            said = json.loads(text)
            recipients = said.pop("to", None)
            channel = channels[name].narrowed(recipients) if name in channels else None
            if channel is None:
                book.sent(number)
                continue
            if name in away:
                continue
            # Imported here: most nights have nothing to send.
            from orchestration.alerts.delivery import DeliveryFailed, PartlyDelivered, deliver

            try:
                deliver(channel, Message(**said))
            except PartlyDelivered as error:
                # Who has it would have it again after every run, if it waited for the others.
                trouble.setdefault(name, f"alerts to {name} do not reach everybody: {error}")
                if error.put_off:
                    book.sent_but_to(number, error.put_off)
                else:
                    book.sent(number)
                sent += 1
            except DeliveryFailed as error:
                book.not_sent(number, str(error))
                trouble[name] = f"alerts to {name} wait to be sent: {error}"
                if error.passing:
                    away.add(name)
            else:
                book.sent(number)
                sent += 1
    return sent, list(trouble.values())
