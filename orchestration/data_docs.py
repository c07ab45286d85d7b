"""Data Docs: what Great Expectations last found, suite by suite, as one page that opens offline.

Great Expectations writes pages of its own, but they load styles, scripts and fonts from others' servers.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from orchestration.disk import put
from orchestration.pictures.palette import FONT, stylesheet
from orchestration.templates import templates

PAGE = "index.html"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite of expectations.

    Attributes:
        name: Such as `features of churn`.
        asset: What it is asked of, such as `features/churn_features`.
        about: What it makes sure of.
        gate: Its gate in `avila.yml`.
        unit: What its rows are called.
    """

    name: str
    asset: str
    about: str
    gate: str
    unit: str = "rows"


def keep(folder: Path, suite: Suite, found: Mapping[str, Any]) -> None:
    """Keep what a suite found, and write the page anew where that is news.

    Args:
        folder: Where the page lies; beside it, what it is made of.
        suite: The suite.
        found: An `ml.audit.Audit` as a dictionary, with `audited_at`.
    """
    results = folder / "results"
    path = results / f"{suite.name.replace(' ', '_')}.json"
    text = json.dumps({"suite": asdict(suite), **found}, indent=1, ensure_ascii=False)
    if (folder / PAGE).exists() and path.exists() and path.read_text(encoding="utf-8") == text:
        return
    put(path, text)
    put(folder / PAGE, page(results))


def drop(folder: Path, *, group: str, but: Collection[str]) -> None:
    """Drop what was found of assets that are no more, such as a source that is declared no longer.

    Args:
        folder: Where the page lies.
        group: The first part of their names, such as `lake`.
        but: The assets of the group that there are.
    """
    results = folder / "results"
    gone = []
    for path in results.glob("*.json"):
        asset = json.loads(path.read_text(encoding="utf-8"))["suite"]["asset"]
        if asset.startswith(f"{group}/") and asset not in but:
            gone.append(path)
    for path in gone:
        path.unlink()
    if gone:
        put(folder / PAGE, page(results))


def page(results: Path) -> str:
    """The page of all that was kept: what failed first."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    return _template().render(
        style=Markup(stylesheet()),  # noqa: S704 - our own colours
        font=Markup(FONT),  # noqa: S704
        audits=sorted(kept, key=lambda one: (one["passed"], one["suite"]["name"])),
    )


@cache
def _template() -> Template:
    return templates().get_template("data_docs.html.jinja")
