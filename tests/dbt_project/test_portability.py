"""Models keep to SQL that DuckDB and Spark both understand; what differs lives in ``macros/engine/``."""

import re
from pathlib import Path

import pytest

from orchestration.settings import DBT_PROJECT_DIR

ONE_ENGINE_ONLY = {
    "a cast by colons": r"::",
    "qualify": r"\bqualify\b",
    "integer division": r"//",
    "asof": r"\basof\b",
    "a star with exceptions": r"\*\s*(exclude|except|replace)\b",
    "a hint on what to keep": r"\bmaterialized\s*\(",
    "a list function": r"\b(list|array_agg|unnest|generate_series|range|list_extract|row)\s*\(",
    "a function of one engine": r"\b(arg_min|arg_max|quantile_cont|median|epoch|epoch_us|epoch_ms|date_diff|strftime"
    r"|to_seconds|to_days|hash|struct_pack|timezone)\s*\(",
    "seconds from an interval": r"extract\s*\(\s*epoch",
    "a distinct count over a window": r"count\s*\(\s*distinct[^)]*\)\s*over",
    "a double-quoted name": r'(?<![\w(,= ])"\w+"(?!\s*[\]}),:])',
}


def portable_files() -> list[Path]:
    models = sorted((DBT_PROJECT_DIR / "models").rglob("*.sql"))
    macros = [path for path in sorted((DBT_PROJECT_DIR / "macros").rglob("*.sql")) if path.parent.name != "engine"]
    return [*models, *macros]


def sql_of(path: Path) -> str:
    """The file's SQL: comments, Jinja statements and Jinja calls are left out."""
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", " ", path.read_text(), flags=re.DOTALL)
    return re.sub(r"--.*", " ", text)


@pytest.mark.parametrize("path", portable_files(), ids=lambda path: path.stem)
def test_sql_is_portable(path: Path) -> None:
    found = [what for what, pattern in ONE_ENGINE_ONLY.items() if re.search(pattern, sql_of(path), re.IGNORECASE)]
    assert not found, f"{path.name}: {', '.join(found)}; put it into macros/engine/"


@pytest.mark.parametrize("path", portable_files(), ids=lambda path: path.stem)
def test_every_model_is_documented(path: Path) -> None:
    if "models" in path.parts:
        described = path.with_suffix(".yml")
        assert described.exists()
        assert "One row" in described.read_text()
