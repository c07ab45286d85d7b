"""What is known of dbt's project follows the project, whatever dbt parsed before."""

import shutil
from pathlib import Path

import pytest

from orchestration.declarations import Declarations
from orchestration.house import House
from orchestration.manifest import load_manifest, parse
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings

OLD_MACRO = "{% macro old_macro() -%}\n    1\n{%- endmacro %}\n"
OLD_WORDS = "  - name: share_of\n    description: >-\n      In other words.\n"
OLD_PATCH = "  - name: old_macro\n    description: Of an earlier version.\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs"))
    for module in ("orchestration.manifest", "orchestration.warehouse"):
        monkeypatch.setattr(f"{module}.DBT_PROJECT_DIR", project)
    return project


def test_a_new_version_without_a_macro_of_the_one_before_is_parsed(project: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    house = House(settings=settings, declarations=Declarations.load(PROJECT_ROOT / "data" / "avila.yml"))
    macros, described = project / "macros" / "share_of.sql", project / "macros" / "macros.yml"
    before = {path: path.read_text(encoding="utf-8") for path in (macros, described)}
    macros.write_text(before[macros] + OLD_MACRO, encoding="utf-8")
    reworded = before[described].replace("  - name: share_of\n    description: >-\n", OLD_WORDS)
    assert reworded != before[described]
    described.write_text(reworded + OLD_PATCH, encoding="utf-8")
    assert "macro.avila.old_macro" in load_manifest(house)["macros"]
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")
    parse.cache_clear()
    assert "macro.avila.old_macro" not in load_manifest(house)["macros"]
