"""What a broken warehouse file looks like when it is read, and the note that says one was met.

A block that is broken is met only when it is read, so opening the file does not tell.
"""

import re
from pathlib import Path

from orchestration.settings import Settings

# The kind of error stands first on its line: what follows may quote anyone's data.
_BROKEN = re.compile(
    r"^\W*(IO|Serialization|TransactionContext|INTERNAL|FATAL) Error\b.*"
    r"(corrupt|checksum|not a valid DuckDB|could not read (enough|all) bytes|truncated|replaying WAL|deserializ)"
    # To DuckDB 2 a checksum is of no kind.
    r"|^\W*Corrupt database file\b",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_BROKEN = re.compile(r"could not set lock|conflicting lock|no space left|out of memory", re.IGNORECASE)


def is_broken(message: str) -> bool:
    """Whether an error of DuckDB's or dbt's speaks of a broken file, and not of a busy one or of a full disk."""
    return bool(_BROKEN.search(message)) and not _NOT_BROKEN.search(message)


def suspicion(settings: Settings) -> Path:
    """The note: its text is the error."""
    return settings.warehouse.parent / ".suspect"


def suspect(settings: Settings, message: str) -> bool:
    """Note an error that reads as of a broken warehouse; the next recovery gives the file up.

    A broken Parquet file of the lake, or a broken published file, is not the warehouse's fault.

    Returns:
        Whether the message says so.
    """
    text = message.strip()
    if not is_broken(text) or ".parquet" in text or "published" in text:
        return False
    line = next(line for line in text.splitlines() if is_broken(line))
    suspicion(settings).write_text(line.strip(), encoding="utf-8")
    return True
