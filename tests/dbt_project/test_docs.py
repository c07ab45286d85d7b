"""dbt's documentation: complete, each thing said once, and a page that opens offline."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from orchestration.declarations import Declarations
from orchestration.docs import write_docs
from orchestration.house import House
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings
from orchestration.warehouse import run_dbt
from tests.conftest import write_lake

MODELS = DBT_PROJECT_DIR / "models"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A warehouse of a single event, built, with its documentation."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("documented"))
    declarations = Declarations.load(PROJECT_ROOT / "data" / "avila.yml")
    event = {"user_id": "a", "event_name": "page_view", "event_ts": pd.Timestamp("2025-01-01")}
    write_lake(settings, pd.DataFrame([event]))
    run_dbt(["run"], settings, declarations.dbt_vars())
    house = House(settings=settings, declarations=declarations)
    write_docs(house)
    return house


@pytest.fixture(scope="module")
def documented(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    """dbt's manifest and catalogue."""
    folder = house.settings.root / "warehouse" / "dbt_docs"
    return tuple(json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "catalog"))  # type: ignore[return-value]


def ours(nodes: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in nodes.values() if node["package_name"] == "avila"]


def test_every_model_source_query_and_macro_is_described(documented: tuple[dict[str, Any], dict[str, Any]]) -> None:
    manifest, _ = documented
    kinds = "model", "analysis"
    things = [node for node in ours(manifest["nodes"]) if node["resource_type"] in kinds]
    things += [macro for macro in ours(manifest["macros"]) if not macro["name"].startswith("default__")]
    things += ours(manifest["sources"])
    assert [thing["name"] for thing in things if not thing["description"].strip()] == []
    # Each kind is there.
    assert len({thing["resource_type"] for thing in things}) == 4


def test_every_column_that_is_built_is_described(documented: tuple[dict[str, Any], dict[str, Any]]) -> None:
    manifest, catalog = documented
    built = {**catalog["nodes"], **{key: node for key, node in catalog["sources"].items() if ".ml." in key}}
    assert len(built) > 50
    lacking = []
    for key, relation in built.items():
        described = (manifest["nodes"].get(key) or manifest["sources"][key])["columns"]
        for column in relation["columns"]:
            if not described.get(column, {}).get("description", "").strip():
                lacking.append(f"{relation['metadata']['name']}.{column}")
    assert lacking == []


def test_no_column_of_a_mart_is_described_in_words_that_stand_elsewhere() -> None:
    said = defaultdict(list)
    for path in sorted((MODELS / "marts").glob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]:
            for column in model["columns"]:
                text = " ".join(str(column.get("description", "")).split())
                assert text, f"{model['name']}.{column['name']} has no description"
                if "doc(" not in text:
                    said[text].append(f"{model['name']}.{column['name']}")
    blocks = doc_blocks()
    for text, columns in said.items():
        assert len(columns) == 1, f"move the words into a doc block, and name it in each of {columns}: {text}"
        assert text not in blocks.values(), f"{columns[0]} says what a doc block says: {text}"


def test_doc_blocks_are_used_and_differ() -> None:
    blocks = doc_blocks()
    named = set(re.findall(r'doc\("(\w+)"\)', "".join(path.read_text() for path in MODELS.rglob("*.yml"))))
    assert set(blocks) == named
    assert len(set(blocks.values())) == len(blocks)


def doc_blocks() -> dict[str, str]:
    texts = "".join(path.read_text(encoding="utf-8") for path in MODELS.rglob("*.md"))
    found = re.findall(r"{% docs (\w+) %}\s*(.*?)\s*{% enddocs %}", texts, re.DOTALL)
    assert len({name for name, _ in found}) == len(found)
    return {name: " ".join(text.split()) for name, text in found}


def test_the_page_is_one_file_that_asks_for_nothing(house: House) -> None:
    page = house.settings.docs.read_text(encoding="utf-8")
    assert "The person an event belongs to" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", page)
    # What dbt's page would report to its makers it reports only where this is set.
    assert '"send_anonymous_usage_stats": false' in page
    assert not list(Path(house.settings.docs).parent.glob(".new-*"))
