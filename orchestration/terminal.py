"""What commands print on."""

from typing import Any

from rich.console import Console


def terminal(**options: Any) -> Console:
    """A console for texts as they are, however long: a path or a name may look like Rich's markup, or like an emoji.

    Args:
        options: Rich's own, such as ``stderr=True``.
    """
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)
