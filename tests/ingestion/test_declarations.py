"""`avila.yml`: what is left out has a default, all can be said, and any document is taken or refused in words."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.declarations import DeclarationError, Declarations
from orchestration.funnels import USER_COLUMNS
from orchestration.ingestion.sources import MAPPABLE_COLUMNS, Source, preset_names
from orchestration.settings import PROJECT_ROOT

MINIMAL = "sources:\n  web:\n    path: landing/*.csv\n"
WHOLE = """\
reporting_timezone: America/Sao_Paulo
sources:
  web:
    path: landing/web/*.jsonl.gz
    preset: segment
    columns: {item_id: properties.sku}
  retail:
    path: [landing/a/*.csv, landing/b/*.csv]
    format: csv
    csv: {delimiter: "\\\\t", columns: [a, b]}
    timezone: Europe/London
    where: "CustomerID is not null"
    columns:
      event_ts: "strptime(InvoiceDate, '%Y-%m-%d')"
      user_id: CustomerID
      event_name: "'purchase'"
      quantity: 1
    max_rejected_share: 0.2
    removed_files: withdraw
sessions: {timeout_minutes: 45}
gates: {volume: block, marts: warn}
key_events: [purchase, signup]
page_view_events: view
funnels:
  checkout:
    window_hours: 1.5
    order: strict
    steps:
      - view_item
      - {name: cart, event: add_to_cart}
      - {event: purchase, where: "revenue > 100"}
      - {name: big, where: "revenue > 1000"}
  trial:
    semantics: posthog
    steps: [signup, {event: invite, optional: true}, import, subscribe]
    exclusions:
      - refund
      - {event: logout, where: "platform = 'web'", between: [import, subscribe]}
    breakdown: {by: "properties->>'plan'", top: 3}
  buyers: {steps: [view_item, purchase], exclusions: refund, breakdown: users.rfm_segment}
cohorts: {anchor: purchase, grains: [month], brackets: [0, 1 - 7], properties: country, top_values: 3}
rfm: {lookback_days: 365}
churn: {horizon_days: 60, active_within_days: 120}
conversion: {event: signup, horizon_days: 14}
training: {snapshots: 50000}
paths: {length: 3}
channels:
  own_sites: [www.Shop.example, pay.example]
  rules: {Influencers: "medium = 'influencer'"}
attribution: {lookback_days: 90}
identity: {placeholder_ids: ["", guest]}
rejects: {max_share: 0.1}
"""


def load(tmp_path: Path, text: str) -> Declarations:
    path = tmp_path / "avila.yml"
    path.write_text(text, encoding="utf-8")
    return Declarations.load(path)


def test_everything_but_sources_has_a_default(tmp_path: Path) -> None:
    declared = load(tmp_path, MINIMAL)
    assert declared.dbt_vars() == {
        "reporting_timezone": "UTC",
        "sessions": {"timeout_minutes": 30},
        "gates": {
            **dict.fromkeys(["sources", "rejects", "dumps", "features", "scores", "marts", "reconciliation"], "block"),
            **dict.fromkeys(["files", "volume"], "warn"),
        },
        "key_events": ["purchase"],
        "page_view_events": ["page_view", "page", "pageview", "$pageview", "screen", "screen_view"],
        "funnels": [],
        "cohorts": {
            "anchor": "first_seen",
            "grains": ["day", "week", "month"],
            "brackets": [
                {"name": "1-7", "first_day": 1, "last_day": 7},
                {"name": "8-14", "first_day": 8, "last_day": 14},
                {"name": "15-30", "first_day": 15, "last_day": 30},
            ],
            "properties": [],
            "top_values": 10,
        },
        "rfm": {"lookback_days": None},
        "churn": {"horizon_days": 30, "active_within_days": 90},
        "conversion": {"event": "purchase", "horizon_days": 7, "active_within_days": 90},
        "training": {"snapshots": 1_000_000},
        "clv": {"horizon_days": 90, "discount_per_year": 0.0},
        "paths": {"length": 5},
        "channels": {"own_sites": [], "rules": {}},
        "attribution": {"lookback_days": 30},
        "identity": {
            "placeholder_ids": ["", "null", "undefined", "none", "nan", "00000000-0000-0000-0000-000000000000"]
        },
        "rejects": {"max_share": 0.05},
    }
    web = declared.sources["web"]
    assert (web.name, web.timezone, web.format, web.removed_files) == ("web", "UTC", None, "keep")
    assert declared.max_rejected_share("web") == 0.05


def test_steps_that_share_an_event_are_told_apart(tmp_path: Path) -> None:
    steps = "[view, {event: view, where: \"page = '/'\"}, {where: revenue > 1}, {name: again, event: view}, view]"
    said = load(tmp_path, MINIMAL + f"funnels: {{f: {{steps: {steps}}}}}\n").dbt_vars()
    names = [step["name"] for step in said["funnels"][0]["steps"]]
    assert names == ["view", "view 2", "revenue > 1", "again", "view 3"]


def test_everything_can_be_said(tmp_path: Path) -> None:
    declared = load(tmp_path, WHOLE)
    said = declared.dbt_vars()
    assert json.loads(json.dumps(said)) == said
    assert said["page_view_events"] == ["view"]
    assert said["cohorts"] == {
        "anchor": "purchase",
        "grains": ["month"],
        "brackets": [{"name": "0", "first_day": 0, "last_day": 0}, {"name": "1-7", "first_day": 1, "last_day": 7}],
        "properties": ["country"],
        "top_values": 3,
    }
    assert said["rfm"] == {"lookback_days": 365}
    assert said["paths"] == {"length": 3}
    assert said["channels"] == {
        "own_sites": ["shop.example", "pay.example"],
        "rules": {"Influencers": "medium = 'influencer'"},
    }
    assert said["attribution"] == {"lookback_days": 90}
    checkout, trial, buyers = said["funnels"]
    assert checkout == {
        "name": "checkout",
        "window_seconds": 5400,
        "order": "strict",
        "semantics": "avila",
        "steps": [
            {"number": 1, "name": "view_item", "event": "view_item", "where": None, "optional": False},
            {"number": 2, "name": "cart", "event": "add_to_cart", "where": None, "optional": False},
            {"number": 3, "name": "purchase", "event": "purchase", "where": "revenue > 100", "optional": False},
            {"number": 4, "name": "big", "event": None, "where": "revenue > 1000", "optional": False},
        ],
        "exclusions": [],
        "breakdown": None,
    }
    assert [step["optional"] for step in trial["steps"]] == [False, True, False, False]
    # Exclusions count along the steps that may not be skipped.
    assert trial["exclusions"] == [
        {"number": 1, "event": "refund", "where": None, "first": 1, "last": 3},
        {"number": 2, "event": "logout", "where": "platform = 'web'", "first": 2, "last": 3},
    ]
    assert trial["breakdown"] == {"by": "properties->>'plan'", "user_column": None, "top": 3}
    assert buyers["breakdown"] == {"by": None, "user_column": "rfm_segment", "top": 10}
    retail, web = declared.sources["retail"], declared.sources["web"]
    assert retail.path == ("landing/a/*.csv", "landing/b/*.csv")
    assert (retail.csv.delimiter, retail.csv.columns) == ("\t", ("a", "b"))
    assert retail.columns["quantity"] == "1"
    assert retail.placeholder_ids == web.placeholder_ids == ("", "guest")
    assert declared.max_rejected_share("retail") == 0.2
    assert declared.max_rejected_share("web") == 0.1
    assert web.columns["item_id"] == "properties.sku"
    assert "item_id" not in web.optional_columns
    assert "user_id" in web.optional_columns


def test_declarations_cannot_be_changed(tmp_path: Path) -> None:
    declared = load(tmp_path, MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        declared.reporting_timezone = "UTC"  # type: ignore[misc]


def test_a_step_may_ask_for_any_property(tmp_path: Path) -> None:
    condition = "properties->>'plan' = 'pro' and country in ('BR', 'PT') and hour(event_ts) < 12"
    declared = load(tmp_path, MINIMAL + f'funnels: {{f: {{steps: [{{event: a, where: "{condition}"}}]}}}}\n')
    assert declared.funnels["f"].steps[0].where == condition
    assert load(tmp_path, MINIMAL + "cohorts: {grains: day}\n").cohorts.grains == ("day",)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["sources", "web", "path", "columns", "funnels", "steps", "csv", "x"]), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    document=st.dictionaries(
        st.sampled_from(["sources", "sessions", "funnels", "cohorts", "identity", "key_events", "rejects"]), ANYTHING
    )
)
def test_any_document_is_taken_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("house")
    with contextlib.suppress(DeclarationError):
        load(path, yaml.safe_dump(document))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_source(tmp_path: Path, name: str) -> None:
    declared = load(tmp_path, f"sources:\n  web: {{path: 'landing/*', preset: {name}}}\n").sources["web"]
    assert {"event_ts", "event_name"} <= set(declared.columns)
    assert {"user_id", "anonymous_id"} & set(declared.columns)
    assert set(declared.columns) <= set(MAPPABLE_COLUMNS)
    assert declared.optional_columns == set(declared.columns)


def test_a_fingerprint_is_of_what_decides_a_files_rows(tmp_path: Path) -> None:
    base = load(tmp_path, MINIMAL).sources["web"]
    same = (
        MINIMAL.replace("landing", "elsewhere"),
        MINIMAL + "    removed_files: withdraw\n",
        MINIMAL + "    max_rejected_share: 0.5\n",
        MINIMAL + "churn: {horizon_days: 1}\n",
    )
    for text in same:
        assert load(tmp_path, text).sources["web"].fingerprint() == base.fingerprint()
    other = (
        MINIMAL + "    timezone: Europe/London\n",
        MINIMAL + "    columns: {page: url}\n",
        MINIMAL + "    where: 'true'\n",
        MINIMAL + "    csv: {header: false}\n",
        MINIMAL + "    null_values: ['-']\n",
        MINIMAL + "identity: {placeholder_ids: [guest]}\n",
        MINIMAL.replace("web", "shop"),
    )
    prints = [load(tmp_path, text).sources.popitem()[1].fingerprint() for text in other]
    assert len({base.fingerprint(), *prints}) == len(other) + 1


def test_a_format_is_told_by_the_name(tmp_path: Path) -> None:
    web = load(tmp_path, MINIMAL).sources["web"]
    formats = {"a.csv": "csv", "a.TSV.gz": "csv", "a.jsonl.zst": "jsonl", "a.json": "json", "a.parquet": "parquet"}
    assert {name: web.format_of(name) for name in formats} == formats
    with pytest.raises(ValueError, match=r"cannot tell the format of a\.txt by its name; declare `format:`"):
        web.format_of("a.txt")


def test_the_readme_names_every_option_and_its_example_is_valid(tmp_path: Path) -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    example, *parts = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert set(load(tmp_path, example).sources) == {"web", "tills"}
    assert all(load(tmp_path, MINIMAL + part) for part in parts)
    told = set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE))
    assert set(Source.model_fields) - {"name", "optional_columns", "placeholder_ids"} <= told
    assert all(f"`{name}`" in readme for name in preset_names())


def test_the_readme_gives_the_placeholders_that_a_list_of_your_own_replaces(tmp_path: Path) -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    (default,) = re.findall(r"^\| `identity` \| `(.*?)` \| .* takes the place of this one", readme, re.MULTILINE)
    assert load(tmp_path, f"{MINIMAL}identity: {default}\n") == load(tmp_path, MINIMAL)
    own = load(tmp_path, MINIMAL + "identity: {placeholder_ids: [guest]}\n")
    assert own.identity.placeholder_ids == own.sources["web"].placeholder_ids == ("guest",)


def test_users_have_the_columns_that_a_funnel_may_be_broken_down_by() -> None:
    contract = yaml.safe_load((PROJECT_ROOT / "dbt_project/models/marts/users.yml").read_text(encoding="utf-8"))
    columns = [column["name"] for column in contract["models"][0]["columns"]]
    scores = {"churn_probability", "conversion_probability"}
    assert [name for name in columns if name != "user_key" and name not in scores] == list(USER_COLUMNS)
