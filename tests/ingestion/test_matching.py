"""A pattern matches what `glob` says it does; but what cannot be looked at is told, and circles come to an end."""

import errno
import glob
import os
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingestion.matching import matches
from tests.ingestion.conftest import House

DUMP = "ts,ev,u\n2020-01-01,v,{}\n"
FILES = ["a.csv", "b.CSV", ".hidden.csv", "sub/a.csv", "sub/deep/b.csv", "sub/deep/[1].csv", ".git/c.csv", "two/a.csv"]
PATTERNS = ["*.csv", "a.csv", "nope.csv", "**/*.csv", "**", "sub/**", "*/a.csv", "*/*.csv", "**/deep/*", "**/**/a.csv"]
PATTERNS += ["[ab].*", "sub/deep/[[]1].csv", ".*", ".*/*", "?.csv", "*b/d*/b.csv", "a.csv/*", "nope/*", "../*/a.csv"]


def fail(path: Path, error: OSError) -> None:
    raise AssertionError(path) from error


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "landing" / "dangling.csv").symlink_to("gone.csv")
    (tmp_path / "landing" / "itself.csv").symlink_to("itself.csv")
    (tmp_path / "landing" / "link").symlink_to("sub")
    return tmp_path / "landing"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_glob_says(tree: Path, pattern: str) -> None:
    # glob names the directory that `**` begins with, too; the link to `sub` is no circle.
    wanted = {Path(path) for path in glob.glob(str(tree / pattern), recursive=True)}  # noqa: PTH207
    found = matches(tree / pattern, fail)
    assert [path for path in found if not path.is_dir()] == sorted(
        (path for path in wanted if not path.is_dir()), key=str
    )


def test_links_that_lead_back_are_not_followed(tree: Path) -> None:
    """Two of them would be 2 to the power of 40 paths."""
    before = matches(tree / "**/*.csv", fail)
    for name in ("one", "other", "sub/up"):
        (tree / name).symlink_to(tree)
    (tree / "sub/aside").symlink_to(tree / "two")
    (tree / "two/aside").symlink_to(tree / "sub")
    found = matches(tree / "**/*.csv", fail)
    assert set(before) < set(found)
    assert set(map(os.path.realpath, found)) == set(map(os.path.realpath, before))
    assert len(found) < 40


@pytest.mark.parametrize("pattern", ["landing/*/*.csv", "landing/**/*.csv", "landing/*/b.csv"])
def test_a_directory_below_that_cannot_be_looked_at_is_told_and_takes_no_rows_away(
    house: House, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    house.write("one/b.csv", DUMP.format("u1"))
    house.write("two/b.csv", DUMP.format("u2"))
    house.load(path=(pattern,), removed_files="withdraw")
    barred, dump = house.root / "landing" / "two", house.root / "landing" / "two" / "b.csv"

    def refuse(asked: Any) -> Any:
        def ask(path: Any = ".", *options: Any, **named: Any) -> Any:
            if path in (barred, dump):
                raise PermissionError(errno.EACCES, "Permission denied")
            return asked(path, *options, **named)

        return ask

    with monkeypatch.context() as patch:
        for name in ("scandir", "lstat"):
            patch.setattr(os, name, refuse(getattr(os, name)))
        report = house.load(path=(pattern,), removed_files="withdraw")
    (failure,) = report.failures
    assert f"source web: {barred}" in failure
    assert "cannot be listed (Permission denied); check that" in failure
    assert [event["user_id"] for event in house.events()] == ["u1", "u2"]
    dump.unlink()
    house.load(path=(pattern,), removed_files="withdraw")
    assert [event["user_id"] for event in house.events()] == ["u1"]
