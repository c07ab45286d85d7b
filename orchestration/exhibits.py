"""Pictures on an asset's page in the Dagster UI: the newest ones, however old the page's definitions are.

Of metadata the UI shows Markdown at once only below a thousand characters, in a narrow column; a description it shows
first and in full width. So descriptions name the pictures, which lie among the logs: those the UI's own server serves.
"""

from pathlib import Path
from typing import Literal

from dagster import DagsterInstance
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from orchestration.disk import put

Kind = Literal["svg", "png"]


def shown(name: str, *, kind: Kind, alt: str) -> str:
    """A picture as Markdown for a description."""
    return f"![{alt}](/logs/pictures/{name}/{kind})"


def place(instance: DagsterInstance, name: str, *, kind: Kind) -> Path | None:
    """Where the page looks for a picture; None where this Dagster serves no files."""
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return None
    return Path(manager.get_captured_local_path(["pictures", name], kind))


def hang(instance: DagsterInstance, name: str, picture: bytes | None, *, kind: Kind) -> Path | None:
    """Put a picture where the page looks for it, or take the old one away where there is none; gives its place."""
    path = place(instance, name, kind=kind)
    if path is None:
        return None
    if picture is None:
        path.unlink(missing_ok=True)
        return None
    put(path, picture)
    return path
