"""Gates: what must hold before a night is published."""

from collections.abc import Iterable
from dataclasses import dataclass

# A dump that cannot be opened has no rows to be wrong: its source's check fails for all to see, and the night goes
# on with what could be read. A source of which nothing was ever read has a check of its own, which does block.
NEVER_BLOCKS = frozenset({"every_file_could_be_read"})


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
        return not (self.passed or self.is_warning or self.name in NEVER_BLOCKS)


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
