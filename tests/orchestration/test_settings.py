"""What the environment and the command line say, and what is said where they are wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT, Settings


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Settings.of_environment()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_each_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    port, threads = said(monkeypatch, capsys, AVILA_THREADS="many", AVILA_UI_PORT="0")
    assert port == "AVILA_UI_PORT=0: Input should be greater than or equal to 1"
    assert threads.startswith("AVILA_THREADS=many: Input should be a valid integer")


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AVILA_SLACK_URL", "https://hooks.example/x")
    (line,) = said(monkeypatch, capsys, AVILA_MEMORY="8GB", AVILA_MEMORYLIMIT="8GB")
    assert line == "AVILA_MEMORYLIMIT: there is no such setting; AVILA_MEMORY_LIMIT is one. Rename or unset it"


@pytest.mark.parametrize("limit", ["lots", "4", "4 apples", ""])
def test_a_memory_limit_that_is_none_of_duckdbs_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    wanted = "expected a size as DuckDB spells it, such as 4GB or 512MiB"
    assert said(monkeypatch, capsys, AVILA_MEMORY_LIMIT=limit) == [f"AVILA_MEMORY_LIMIT={limit}: {wanted}"]
    monkeypatch.setenv("AVILA_MEMORY_LIMIT", "512MiB")
    assert Settings.of_environment().memory_limit == "512MiB"


@pytest.mark.parametrize("name", ["shops [2025]", "what?", "all*", "100%20", "shop #1"])
def test_a_directory_that_would_be_taken_for_a_pattern_or_a_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    directory = tmp_path / name / "data"
    (line,) = said(monkeypatch, capsys, AVILA_DATA_DIR=str(directory))
    assert line.startswith(f"AVILA_DATA_DIR={directory}: ")
    assert line.endswith("rename it")


def test_other_names_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(tmp_path / "d'Ávila & <b>; (2)"))
    assert Settings.of_environment().root == tmp_path / "d'Ávila & <b>; (2)"


@pytest.mark.parametrize("command", ["nightly", "verify", "docs", "ui", "prompt"])
def test_a_command_without_arguments_does_nothing_when_it_is_given_one(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"orchestration.{command}", "--full"],
        env={"PYTHONPATH": str(PROJECT_ROOT), "AVILA_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --full" in done.stderr
    assert not list(tmp_path.iterdir())
