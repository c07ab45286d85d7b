"""What a load says: how far it has come, and in the end what it did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestration.ingestion.faults import UnreadableFileError


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a load has come. Bytes are those of the files as they lie, compressed or not."""

    source: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What one load of one source did.

    Attributes:
        loaded: Files that were read, those that replace an earlier load included.
        replaced: Loads whose rows are no longer in the lake because their file or mapping has changed.
        unchanged: Files that the lake has already.
        duplicate: Files that are new but hold a content that the lake has already.
        withdrawn: Loads whose rows went with their file.
        rows: Events loaded now, as are the other counts and times.
        first_event_ts: In UTC, as ISO 8601 text.
        failed: Files that could not be loaded.
        warnings: What an analyst should know.
        failures: What could not be loaded, and the cure. The rest of the source is loaded all the same.
        passing: Those of the failures that a new try may find gone: a share or an endpoint that did not answer.
    """

    source: str
    loaded: int = 0
    replaced: int = 0
    unchanged: int = 0
    duplicate: int = 0
    withdrawn: int = 0
    rows: int = 0
    filtered: int = 0
    rejected: int = 0
    first_event_ts: str | None = None
    last_event_ts: str | None = None
    seconds: float = 0.0
    failed: int = 0
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()


class Remarks:
    """What is to be said of a load that is under way, each thing once, in the order in which it was found.

    Attributes:
        warnings: What an analyst should know.
        failures: What could not be loaded, and the cure.
        passing: Those of the failures that a new try may find gone.
    """

    def __init__(self) -> None:
        self.warnings: dict[str, None] = {}
        self.failures: dict[str, None] = {}
        self.passing: dict[str, None] = {}

    def warn(self, said: Iterable[str]) -> None:
        """Add warnings."""
        self.warnings.update(dict.fromkeys(said))

    def fail(self, said: Iterable[str]) -> None:
        """Add failures."""
        self.failures.update(dict.fromkeys(said))

    def fail_to_read(self, error: UnreadableFileError, named: Callable[[str], str]) -> None:
        """Add a file that cannot be read.

        Args:
            error: Why.
            named: Calls files by their names: see `Landing.named`.
        """
        said = named(str(error))
        self.fail([said])
        if error.may_pass:
            self.passing[said] = None
