"""dbt's project over one data directory: its manifest, and the objects that dbt runs from."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from orchestration.house import House
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse import run_dbt

SOURCE_SUFFIXES = {".sql", ".yml", ".md"}


def load_manifest(house: House) -> dict[str, Any]:
    """The manifest as dbt writes it, from the last parse where nothing it depends on has changed.

    Raises:
        DbtFailed: The project does not parse.
    """
    manifest, mark = _target(house) / "manifest.json", _target(house) / "manifest.fingerprint"
    if not _is_current(house):
        parse(house)
        mark.write_text(_fingerprint(house))
    parsed: dict[str, Any] = json.loads(manifest.read_text())
    return parsed


@cache
def parse(house: House) -> Any:
    """The project in dbt's own objects, read once a process for all that `run_dbt` is to do with it.

    Raises:
        DbtFailed: The project does not parse.
    """
    is_current = _is_current(house)
    if not is_current:
        # dbt would take up its last parse, and fail where a macro is gone and one beside it is described anew.
        (_target(house) / "partial_parse.msgpack").unlink(missing_ok=True)
    command = ["parse", "--no-write-json"] if is_current else ["parse"]
    return run_dbt(command, house.settings, house.declarations.dbt_vars())


def _target(house: House) -> Path:
    return house.settings.root / "warehouse" / "dbt"


def _is_current(house: House) -> bool:
    """Whether the manifest that was written last is of this project and these declarations."""
    manifest, mark = _target(house) / "manifest.json", _target(house) / "manifest.fingerprint"
    return manifest.exists() and mark.exists() and mark.read_text() == _fingerprint(house)


def _fingerprint(house: House) -> str:
    digest = hashlib.sha256(json.dumps(house.declarations.dbt_vars(), sort_keys=True).encode())
    for path in sorted(_project_files()):
        digest.update(str(path.relative_to(DBT_PROJECT_DIR)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _project_files() -> list[Path]:
    return [path for path in DBT_PROJECT_DIR.rglob("*") if path.suffix in SOURCE_SUFFIXES]
