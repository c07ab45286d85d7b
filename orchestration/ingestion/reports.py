"""What a load says: how far it has come, and in the end what it did."""

from dataclasses import dataclass


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
