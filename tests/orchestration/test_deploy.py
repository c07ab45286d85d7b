"""What a server is set up with names files, modules and variables that exist."""

import configparser
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestration.settings import PROJECT_ROOT, Settings

UNITS = PROJECT_ROOT / "orchestration" / "deploy"
DOCKERFILE, COMPOSE = PROJECT_ROOT / "Dockerfile", PROJECT_ROOT / "compose.yaml"
FILES = [DOCKERFILE, COMPOSE, *sorted(UNITS.iterdir())]
VARIABLES = {f"AVILA_{name.upper()}" for name in Settings.model_fields}
# Of compose itself: whose the data directory is.
OF_COMPOSE = {"AVILA_UID", "AVILA_GID"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each on one line."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, by key."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_a_setting_and_no_registry_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"AVILA_[A-Z_]+", text)) <= VARIABLES | OF_COMPOSE
    for line in text.splitlines():
        assert not re.match(r"FROM \S*[.:]\S*/", line)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)


def test_the_image_holds_what_it_runs_and_nobody_runs_it_as_root() -> None:
    steps = instructions()
    ignored = (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for word, rest in steps:
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                assert (PROJECT_ROOT / name).exists(), name
                assert f"!{name}" in ignored
    assert [rest for word, rest in steps if word == "USER"] == ["1000"]
    (command,) = [yaml.safe_load(rest) for word, rest in steps if word == "CMD"]
    assert command == ["python", "-m", "orchestration.ui"]
    assert importlib.util.find_spec(command[-1])
    # Packages are installed by their hashes or not at all.
    installs = [rest for _, rest in steps if "pip install" in rest]
    assert installs
    assert all("--require-hashes" in rest and "--no-deps" in rest for rest in installs)


def test_compose_serves_this_machine_alone_and_keeps_the_data() -> None:
    (service,) = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"].values()
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
    assert [volume.rpartition(":")[2] for volume in service["volumes"]] == ["/data"]
    assert service["read_only"]
    (environment,) = [rest for word, rest in instructions() if word == "ENV"]
    assert "AVILA_DATA_DIR=/data" in environment.split()
    assert "/tmp" in service["tmpfs"]
    assert "HOME=/tmp" in environment.split()


@pytest.mark.parametrize("name", ["avila.service", "avila-night.service"])
def test_a_unit_runs_a_module_of_ours(name: str) -> None:
    settings = unit(name)
    program, flag, module = shlex.split(settings["ExecStart"][0])
    (home,) = settings["WorkingDirectory"]
    assert program == f"{home}/.venv/bin/python"
    assert flag == "-m"
    assert importlib.util.find_spec(module)
    variables = dict(pair.split("=") for pair in settings["Environment"][0].split())
    assert variables["PYTHONPATH"] == home
    assert variables["AVILA_DATA_DIR"] in settings["ReadWritePaths"]
    assert settings["User"] == ["avila"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS.iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/avila/.venv/bin/python", "/bin/true")
        (tmp_path / path.name).write_text(text.replace("User=avila", "User=root").replace("/opt/avila", "/tmp"))
    names = ["avila.service", "avila-night.service", "avila-night.timer"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "avila" in line]
    assert (done.returncode, ours) == (0, [])
    timer = configparser.ConfigParser(interpolation=None)
    timer.read(UNITS / "avila-night.timer", encoding="utf-8")
    assert timer["Timer"]["Persistent"] == "true"


@pytest.mark.slow
def test_a_night_publishes_from_what_the_image_holds(tmp_path: Path) -> None:
    """No engine builds it here, so that what the Dockerfile copies is laid out as it would be."""
    image, data = tmp_path / "image", tmp_path / "data"
    seen = [line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word, rest in instructions():
        *sources, target = rest.split()
        if word != "COPY" or sources[0].startswith("--") or target.startswith("/tmp"):
            continue
        for source in sources:
            assert source in seen, f"{source} is left out by .dockerignore"
            path = PROJECT_ROOT / source
            place = image / target / path.name if target.endswith("/") else image / target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(path, place) if path.is_dir() else shutil.copy(path, place)
    (data / "landing").mkdir(parents=True)
    (data / "avila.yml").write_text(
        "sources: {shop: {path: landing/*.csv, columns: {event_ts: ts, event_name: event}}}"
    )
    (data / "landing" / "a.csv").write_text(
        "ts,event,user_id\n2024-01-01 10:00:00,view,ana\n2024-01-02 10:00:00,buy,ana\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.nightly"],
        cwd=image,
        env={**os.environ, "PYTHONPATH": str(image), "AVILA_DATA_DIR": str(data), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (data / "published" / "report.html").exists()
