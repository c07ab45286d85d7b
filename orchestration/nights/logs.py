"""How Ávila speaks on standard error: plain words on a terminal, and a JSON object a line elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestration.settings import Settings
from orchestration.terminal import harmless

if TYPE_CHECKING:
    from rich.console import Console


class Plain(logging.Formatter):
    """The time and what was said; Dagster's own prefix is dropped."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return f"{self.formatTime(record, '%H:%M:%S')}  {harmless(_said(record))}"


class JsonLines(logging.Formatter):
    """``time`` (ISO 8601, UTC), ``level``, ``run_id``, ``step``, ``asset``, ``message``, and ``error`` if there is one.

    ``step`` and ``asset`` are null where it is none of theirs.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        line = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "run_id": meta.get("run_id"),
            "step": meta.get("step_key"),
            "asset": event.asset_key.to_user_string() if event and event.asset_key else None,
            "message": _said(record),
        }
        error = _error(event) if event and event.is_step_failure else ""
        if record.exc_info:
            error = self.formatException(record.exc_info)
        return as_line({**line, **({"error": error} if error else {})})


def is_json(settings: Settings) -> bool:
    """Whether standard error is to be JSON lines."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


def handler(settings: Settings) -> logging.Handler:
    """What writes informative messages and worse to standard error."""
    stream = logging.StreamHandler()
    stream.setLevel(logging.INFO)
    stream.setFormatter(JsonLines() if is_json(settings) else Plain())
    return stream


def as_line(said: dict[str, Any]) -> str:
    """An object as JSON in one line, letters as they are."""
    return json.dumps(said, ensure_ascii=False)


class Voice:
    """What a command says on standard error of itself, beside its run.

    Attributes:
        run_id: The run that it speaks of, if there is one.
    """

    def __init__(self, settings: Settings, console: "Console") -> None:
        self._is_json, self._console = is_json(settings), console
        self.run_id: str | None = None

    def say(self, text: str, *, level: str = "error", style: str = "red") -> None:
        """Say something, in lines as they are."""
        if not self._is_json:
            self._console.print(text, style=style)
            return
        now = datetime.now(UTC).timestamp()
        line = {"time": _iso(now), "level": level, "run_id": self.run_id, "step": None, "asset": None, "message": text}
        self._console.file.write(as_line(line) + "\n")


def _said(record: logging.LogRecord) -> str:
    said = getattr(record, "dagster_meta", {}).get("orig_message")
    return str(said) if said else record.getMessage()


def _error(event: Any) -> str:
    """Why a step failed; nothing for checks that did not pass, which are told by name at the run's end."""
    # Imported here: it imports Dagster, and whoever only speaks need not wait for that.
    from orchestration.nights.outcome import only_refused, step_failure

    reason = step_failure(event)
    return "" if only_refused(reason) else reason


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
