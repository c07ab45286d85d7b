"""The paths that a pattern matches: as `glob` has it, but what cannot be looked at is told, and no circle is walked."""

import errno
import fnmatch
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISDIR

Lose = Callable[[Path, OSError], None]

# What is not there, or leads nowhere, matches nothing; all else may be there, and cannot be seen.
_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def matches(pattern: Path, lose: Lose) -> list[Path]:
    """The paths that a pattern matches, sorted. What is hidden is left out, unless the pattern shows a dot for it.

    Links are followed; `**` leaves out those that lead back to a directory they lie in.

    Args:
        pattern: An absolute one.
        lose: Told of what cannot be looked at, such as a directory that may not be read: `glob` takes it for empty.
    """
    return sorted(set(_below(Path(pattern.anchor), pattern.parts[1:], lose, frozenset())), key=str)


def _below(top: Path, parts: tuple[str, ...], lose: Lose, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    if not parts:
        yield top
        return
    part, rest = parts[0], parts[1:]
    if not glob.has_magic(part):
        if rest or _exists(top / part, lose):
            yield from _below(top / part, rest, lose, above)
        return
    if part == "**":
        yield from _below(top, rest or ("*",), lose, above)
        if here := _directory(top, lose):
            above |= {here}
    for name, is_file in _names(top, lose):
        if name.startswith(".") and not part.startswith("."):
            continue
        if part != "**":
            if fnmatch.fnmatchcase(name, part):
                yield from _below(top / name, rest, lose, above)
        elif not is_file and (directory := _directory(top / name, lose)) and directory not in above:
            yield from _below(top / name, parts, lose, above)


def _names(directory: Path, lose: Lose) -> list[tuple[str, bool]]:
    """What is in a directory, and whether it is known at no cost to be a file."""
    try:
        with os.scandir(directory) as entries:
            return [(entry.name, entry.is_file(follow_symlinks=False)) for entry in entries]
    except OSError as error:
        if error.errno not in _NOTHING:
            lose(directory, error)
        return []


def _exists(path: Path, lose: Lose) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno not in _NOTHING:
            lose(path, error)
        return False
    return True


def _directory(path: Path, lose: Lose) -> tuple[int, int] | None:
    """What tells a directory from all others; none for what is no directory."""
    try:
        stat = path.stat()
    except OSError as error:
        if error.errno not in _NOTHING:
            lose(path, error)
        return None
    return (stat.st_dev, stat.st_ino) if S_ISDIR(stat.st_mode) else None
