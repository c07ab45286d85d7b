"""What commands print on, and what they are given."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def harmless(text: str) -> str:
    """A text in which what would steer a terminal is spelled out: a dump's rows and headers are shown as they are."""
    return text.translate(_CONTROLS)


class _Terminal(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(harmless(said) if isinstance(said, str) else said for said in objects), **options)


def terminal(**options: Any) -> Console:
    """A console for texts as they are, however long: a path or a name may look like Rich's markup, or like an emoji.

    Args:
        options: Rich's own, such as ``stderr=True``.
    """
    return _Terminal(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)


def take_no_arguments(what: str | None) -> None:
    """Refuse whatever a command that knows none was given, or explain it to who asks with ``--help``; both end it.

    Args:
        what: What it does.
    """
    command = f"python -m orchestration.{Path(sys.argv[0]).stem}"
    argparse.ArgumentParser(prog=command, description=what).parse_args()
