"""The book of alerts: which are open, which messages wait to be sent, and which runs were told of.

One SQLite file below the data directory; several processes may write it, one after the other.
"""

import fcntl
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.alerts.alert import Alert, Message, State
from orchestration.alerts.declared import Channel
from orchestration.sqlite_file import SqliteFile

_SCHEMA = """
create table if not exists open_alerts (
    key text primary key, kind text not null, severity text not null, title text not null,
    fingerprint text not null, opened_at text not null
);
create table if not exists outbox (
    number integer primary key, channel text not null, message text not null, created_at text not null,
    tries integer not null default 0, last_error text
);
create table if not exists runs_told (run_id text primary key, told_at text not null);
create table if not exists rule_answers (
    rule text not null, publication_id text not null, number integer not null, held integer not null,
    primary key (rule, publication_id)
);
"""


def utc_now() -> str:
    """ISO 8601, to the second."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class Book(SqliteFile):
    """The book of one warehouse.

    Args:
        path: The file; made when missing.
        warehouse: What messages call the warehouse.
    """

    def __init__(self, path: Path, *, warehouse: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._warehouse = path, warehouse
        super().__init__(path, schema=_SCHEMA)

    def claim(self, run_id: str) -> bool:
        """Whether nobody has told of a run before; from now on somebody has."""
        query = "insert or ignore into runs_told values (?, ?)"
        return self._connection.execute(query, [run_id, utc_now()]).rowcount == 1

    def settle(
        self,
        firing: Iterable[Alert],
        decided: Callable[[str], bool],
        channels: Mapping[str, Channel],
        *,
        run_id: str | None = None,
    ) -> list[Message]:
        """Note how alerts stand, and put into the outbox what is new in that; within a `transaction`.

        Args:
            firing: The alerts that hold now.
            decided: By an alert's key, whether it is known now to hold or not: if it did and is not among those
                firing, it is over.
            channels: Where messages may go, by name.
            run_id: The run that showed it.
        """
        query = "select key, kind, severity, title, fingerprint from open_alerts"
        known = {key: (*said, fingerprint) for key, *said, fingerprint in self._connection.execute(query)}
        now, messages = utc_now(), []

        def takers(kind: str, severity: str) -> set[str]:
            return {name for name, channel in channels.items() if channel.takes(kind, severity)}

        def say(state: State, to: set[str], key: str, kind: str, severity: str, title: str, text: str) -> None:
            message = Message(
                id=uuid.uuid4().hex, state=state, key=key, kind=kind, severity=severity, title=title, text=text,
                warehouse=self._warehouse, at=now, run_id=run_id,
            )  # fmt: skip
            messages.append(message)
            for name in sorted(to):
                self.post(name, message)

        holds = {alert.key: alert for alert in firing}
        for key, alert in holds.items():
            if key in known and known[key][-1] == alert.fingerprint:
                continue
            now_is = key, alert.kind, alert.severity, alert.title, alert.text
            takes = takers(alert.kind, alert.severity)
            if key in known:
                kind, severity, title, _ = map(str, known[key])
                had = takers(kind, severity)
                say("changed", had & takes, *now_is)
                # Where it has become worse or less so, it is new to some channels and no concern of others any more.
                if takes - had:
                    say("firing", takes - had, *now_is)
                if had - takes:
                    say("resolved", had - takes, key, kind, severity, title, "")
            else:
                say("firing", takes, *now_is)
            self._connection.execute(
                """
                insert into open_alerts values (?1, ?2, ?3, ?4, ?5, ?6)
                on conflict (key) do update set severity = ?3, title = ?4, fingerprint = ?5
                """,
                [key, alert.kind, alert.severity, alert.title, alert.fingerprint, now],
            )
        for key, (kind, severity, title, _) in known.items():
            if key not in holds and decided(key):
                kind, severity, title = str(kind), str(severity), str(title)
                say("resolved", takers(kind, severity), key, kind, severity, title, "")
                self._connection.execute("delete from open_alerts where key = ?", [key])
        return messages

    def open_keys(self) -> list[str]:
        """The alerts that hold, as far as is known."""
        return [key for (key,) in self._connection.execute("select key from open_alerts order by key")]

    def post(self, channel: str, message: Message) -> None:
        """Put a message into the outbox."""
        query = "insert into outbox (channel, message, created_at) values (?, ?, ?)"
        self._connection.execute(query, [channel, message.to_json(), utc_now()])

    def waiting(self) -> list[tuple[int, str, str]]:
        """(number, channel, message as JSON) of all that is to be sent, oldest first.

        Where only some of the channel's recipients are to have it, they are in the JSON as ``to``.
        """
        return self._connection.execute("select number, channel, message from outbox order by number").fetchall()

    def sent(self, number: int) -> None:
        """Take a message out of the outbox."""
        self._connection.execute("delete from outbox where number = ?", [number])

    def sent_but_to(self, number: int, recipients: Sequence[str]) -> None:
        """Have a message wait for some of its channel's recipients alone."""
        query = "update outbox set message = json_set(message, '$.to', json(?)) where number = ?"
        self._connection.execute(query, [json.dumps(recipients), number])

    def not_sent(self, number: int, why: str) -> None:
        """Note a vain try."""
        query = "update outbox set tries = tries + 1, last_error = ? where number = ?"
        self._connection.execute(query, [why, number])

    def times_held(self, rule: str, publication_id: str, held: bool) -> int:
        """Note whether a rule's condition holds in a publication; gives in how many on end it has, up to this one."""
        self._connection.execute(
            """
            insert into rule_answers
            select ?1, ?2, coalesce(max(number), 0) + 1, ?3 from rule_answers where rule = ?1
            on conflict do update set held = ?3
            """,
            [rule, publication_id, int(held)],
        )
        query = """
            select count(*) from rule_answers where rule = ?1 and number > coalesce(
                (select max(number) from rule_answers where rule = ?1 and held = 0), 0)
        """
        return int(self._connection.execute(query, [rule]).fetchone()[0])

    def forget_rules(self, declared: Iterable[str]) -> None:
        """Forget the answers of rules that are no longer declared."""
        names = list(declared)
        marks = ", ".join("?" * len(names))
        self._connection.execute(f"delete from rule_answers where rule not in ({marks})", names)

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Whether this process may send now; one at a time does."""
        with self._path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
