"""Gates: what must hold before a night is published."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from orchestration.declared import Declared

Verdict = Literal["block", "warn"]


class Gates(Declared):
    """What a gate does that does not pass: `block` keeps the last publication, `warn` publishes and says so."""

    # A dump that cannot be opened has no rows to be wrong, and the night goes on with what could be read. A source of
    # which nothing was ever read has a gate of its own.
    files: Verdict = "warn"
    sources: Verdict = "block"
    rejects: Verdict = "block"
    dumps: Verdict = "block"
    features: Verdict = "block"
    scores: Verdict = "block"
    marts: Verdict = "block"
    reconciliation: Verdict = "block"
    volume: Verdict = "warn"


class PublicationBlocked(Exception):  # noqa: N818 - reads as what happened
    """A gate did not pass; the last published file stays as it is."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check as it last ran.

    Attributes:
        asset: What it checked, such as ``marts/sessions``.
        name: The check's name.
        passed: Whether it held.
        is_warning: Whether a failure only warns.
        reason: Why it failed, in words.
    """

    asset: str
    name: str
    passed: bool
    is_warning: bool = False
    reason: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it keeps the night from being published."""
        return not (self.passed or self.is_warning)


def require_passed(gates: Iterable[Gate]) -> None:
    """Let a night through whose every blocking gate passed.

    Raises:
        PublicationBlocked: Some did not; the message has a line for each.
    """
    closed = [gate for gate in gates if gate.blocks]
    if closed:
        raise PublicationBlocked(
            "\n".join(f"{gate.asset}: {gate.name} failed. {gate.reason}".strip() for gate in closed)
        )
