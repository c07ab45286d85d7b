"""What the environment says, and what is said where it is wrong."""

from pathlib import Path

import pytest

from orchestration.settings import Settings


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
