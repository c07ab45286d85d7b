"""``make alert-test``: a test message to every channel, and every rule asked; ``--send`` sends what waits."""

import argparse
import sqlite3
import sys
import uuid
from contextlib import closing

from rich.console import Console

from orchestration.alerts.alert import Message
from orchestration.alerts.book import Book, utc_now
from orchestration.alerts.delivery import DeliveryFailed, deliver
from orchestration.alerts.findings import days_on_end
from orchestration.alerts.query import QueryFailed, ask, published_marts
from orchestration.alerts.watch import send
from orchestration.declarations import DeclarationError, Declarations
from orchestration.house import House
from orchestration.settings import Settings
from orchestration.sqlite_file import is_broken
from orchestration.terminal import terminal


def main(arguments: list[str] | None = None) -> int:
    """Test delivery, or send what waits.

    Returns:
        0 when every channel took its message, and every rule had an answer; 1 when not; 2 when `avila.yml` is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestration.alerts", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--test", action="store_true", help="a test message to every channel, and every rule asked")
    what.add_argument("--send", action="store_true", help="send what waits in the outbox")
    options = parser.parse_args(arguments)
    console, settings = terminal(stderr=True), Settings.of_environment()
    try:
        house = House(settings=settings, declarations=Declarations.load(settings.declarations))
    except DeclarationError as error:
        console.print(str(error), style="red")
        return 2
    return _send(house, console) if options.send else _test(house, console)


def _test(house: House, console: Console) -> int:
    declared, failed = house.declarations.alerts, False
    if not declared.channels:
        console.print(f"{house.settings.declarations} declares no channel: see README.md under 'Alerts'.")
    for name, channel in declared.channels.items():
        message = Message(
            id=uuid.uuid4().hex,
            state="test",
            key="test",
            kind="failure",
            severity="info",
            title="a test of this channel",
            text="Nothing is wrong: somebody asked whether alerts get here.",
            warehouse=str(house.settings.root),
            at=utc_now(),
        )
        try:
            deliver(channel, message)
        except DeliveryFailed as error:
            failed = True
            console.print(f"{name}: not sent: {error}", style="red")
        else:
            console.print(f"{name}: sent", style="green")
    return int(not _ask_rules(house, console) or failed)


def _ask_rules(house: House, console: Console) -> bool:
    """Ask every rule of what is published; whether all had an answer."""
    rules, published = house.declarations.alerts.rules, house.settings.published / "marts.duckdb"
    if not rules or not published.exists():
        return True
    answered = True
    with published_marts(published) as connection:
        for name, rule in rules.items():
            try:
                answer = ask(connection, rule.sql, rule.when, by_day=rule.by_day)
                days = f"; {days_on_end(answer)} of {rule.times} days" if rule.by_day else ""
            except QueryFailed as error:
                answered = False
                console.print(f"rules/{name}: no answer: {error}", style="red")
            else:
                holds = f"holds in {sum(answer.held)} of {len(answer.rows)} rows{days}"
                console.print(f"rules/{name}: `{rule.when}` {holds}", style="green")
    return answered


def _send(house: House, console: Console) -> int:
    try:
        with closing(Book(house.settings.alerts, warehouse=str(house.settings.root))) as book:
            sent, trouble = send(house, book)
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        console.print(
            f"The book of alerts {house.settings.alerts} cannot be read ({error}), so nothing in it can be sent. "
            "The next run sets it aside, and tells once more what it held open.",
            style="red",
        )
        return 1
    console.print(f"{sent} alerts sent", style="green")
    for said in trouble:
        console.print(said, style="red")
    return int(bool(trouble))


if __name__ == "__main__":
    sys.exit(main())
