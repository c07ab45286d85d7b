"""An alert, and the message that says how it stands."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

from orchestration.alerts.declared import Kind, Severity

State = Literal["firing", "changed", "resolved", "test"]

_NUMBERS = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32,64}\b|\d+")
"""What differs from night to night though nothing else does: numbers, the ids of runs and the hashes in file names."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that is wrong.

    Attributes:
        key: What it is about, the same every night, such as ``blocked/nightly``.
        kind: What sort of thing.
        severity: How bad.
        title: It in a line.
        text: It in full; may be empty.
        facts: What must change for it to be another one; by default its title and text without their numbers.
    """

    key: str
    kind: Kind
    severity: Severity
    title: str
    text: str = ""
    facts: str | None = None

    def __post_init__(self) -> None:
        """Make its texts ones that can be sent: a file's name may hold bytes that are no text."""
        for field in ("key", "title", "text", "facts"):
            said = getattr(self, field)
            if said is not None:
                object.__setattr__(self, field, said.encode(errors="backslashreplace").decode())

    @property
    def fingerprint(self) -> str:
        """The same for as long as nothing has changed that one should be told again."""
        said = re.sub(_NUMBERS, "#", f"{self.title}\n{self.text}") if self.facts is None else self.facts
        return hashlib.sha256(f"{self.kind}\n{self.severity}\n{said}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is sent of an alert.

    Attributes:
        id: Of this message, the same however often it is sent; a receiver may know by it what it has had.
        state: Whether the alert is new, has changed or is over.
        warehouse: The data directory.
        at: When, UTC, ISO 8601.
        run_id: The run that showed it, if one did.
    """

    id: str
    state: State
    key: str
    kind: str
    severity: str
    title: str
    text: str
    warehouse: str
    at: str
    run_id: str | None = None

    @property
    def subject(self) -> str:
        """The message in a line."""
        told = {"firing": self.severity.upper(), "changed": f"{self.severity.upper()}, changed"}
        return f"[Ávila] {told.get(self.state, self.state.upper())}: {' '.join(self.title.split())}"

    @property
    def body(self) -> str:
        """The message in full, as plain text."""
        run = f"\nrun        {self.run_id}" if self.run_id else ""
        over = "This is over.\n\n" if self.state == "resolved" else ""
        said = f"{self.text}\n\n" if self.text else ""
        return f"{over}{said}alert      {self.key}\nwarehouse  {self.warehouse}\nat         {self.at}{run}\n"

    def to_json(self) -> str:
        """As a webhook is sent it and the outbox keeps it."""
        return json.dumps(asdict(self), ensure_ascii=False)
