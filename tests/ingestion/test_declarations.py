"""`avila.yml`: what is left out has a default, what is wrong is named with its line, its key and what was expected."""

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


# The text, the line of the mistake, and what is said of it.
MISTAKES: dict[str, tuple[str, int, str]] = {
    "an owner who is none": (
        MINIMAL + "owners: [team:growth, ana]\n",
        4,
        "`owners.1`: 'ana' is no owner; name a team, such as team:growth, or a person by e-mail address",
    ),
    "an unknown key": (MINIMAL + "sesions: {}\n", 4, "unknown key `sesions`; did you mean `sessions`? known here: "),
    "one in a source": (MINIMAL + "    colums: {}\n", 4, "unknown key `sources.web.colums`; did you mean `columns`?"),
    "one in csv": (MINIMAL + "    csv: {delimeter: x}\n", 4, "`sources.web.csv.delimeter`; did you mean `delimiter`?"),
    "one in a step": (MINIMAL + "funnels: {f: {steps: [{evnt: a}]}}\n", 4, "`evnt`|`funnels.f.steps.0"),
    "an unknown column": (
        MINIMAL + "    columns:\n      evnt_ts: a\n",
        5,
        "'evnt_ts' is no canonical column; did you mean event_ts?",
    ),
    "an unknown zone": (MINIMAL + "    timezone: Europe/Londn\n", 4, "did you mean Europe/London"),
    "an unknown reporting zone": ("reporting_timezone: Mars\n" + MINIMAL, 1, "'Mars' is not an IANA time zone"),
    "an unknown preset": (MINIMAL + "    preset: segmnt\n", 4, "there is no preset 'segmnt'; did you mean segment?"),
    "an unknown format": (MINIMAL + "    format: xml\n", 4, "'csv', 'jsonl'"),
    "an unknown encoding": (MINIMAL + "    encoding: utf9\n", 4, "'utf9' is not a text encoding"),
    "no path": ("sources:\n  web: {format: csv}\n", 2, "`sources.web.path` is missing"),
    "no sources": ("key_events: [a]\n", 1, "`sources` is missing"),
    "empty sources": ("sources: {}\n", 1, "at least 1 item"),
    "a source that is none": (MINIMAL + "  b: 3\n", 4, "`sources.b`"),
    "a wrong type": (MINIMAL + "churn: {horizon_days: soon}\n", 4, "expected a whole number (it is 'soon')"),
    "a number out of bounds": (MINIMAL + "sessions: {timeout_minutes: -1}\n", 4, "greater than 0 (it is -1)"),
    "a timeout under a second": (
        MINIMAL + "sessions: {timeout_minutes: 0.005}\n",
        4,
        "`sessions.timeout_minutes`: expected at least a second, which is 0.0167 (it is 0.005)",
    ),
    "an unknown order": (MINIMAL + "funnels:\n  f:\n    order: any\n    steps: [a]\n", 6, "'ordered', 'strict'"),
    "a step without anything": (MINIMAL + "funnels: {f: {steps: [{name: a}]}}\n", 4, "a step needs `event:`"),
    "a step twice": (MINIMAL + "funnels: {f: {steps: [a, {name: a, event: b}]}}\n", 4, "two steps are called 'a'"),
    "a key twice": (MINIMAL + "churn: {}\nkey_events: [a]\nchurn: {}\n", 6, "`churn` is already set on line 4"),
    "no regular expression": (MINIMAL + "    pattern: '(?P<a>'\n", 4, "no regular expression"),
    "a pattern without names": (MINIMAL + "    pattern: 'x'\n", 4, "names no groups"),
    "a long delimiter": (MINIMAL + "    csv: {delimiter: '; '}\n", 4, "is not one character"),
    "no YAML": ("sources:\n  web: [\n", 3, "expected"),
    "a colon in a value": (MINIMAL + "    where: a: b\n", 4, "    where: a: b\n  is a value with :"),
    "an offset as zone": (MINIMAL + "    timezone: UTC-3\n", 4, "America/Sao_Paulo, or Etc/GMT+3 (its sign"),
    "one that YAML reads as minutes": (MINIMAL + "    timezone: +5:30\n", 4, "'+05:30' is an offset, not a zone"),
    "a number as zone": ("reporting_timezone: -3\n" + MINIMAL, 1, "'-03:00' is an offset, not a zone"),
    "a name no folder can have": (MINIMAL.replace("web", "my shop"), 2, "`sources.my shop`: a source's name is"),
    "a bracket": (
        MINIMAL + "cohorts: {brackets: [week]}\n",
        4,
        "'week' is no bracket; write the days since the anchor as 1-7",
    ),
    "a bracket backwards": (
        MINIMAL + "cohorts: {brackets: [7-1]}\n",
        4,
        "'7-1' ends before it begins; did you mean 1-7?",
    ),
    "a bracket twice": (MINIMAL + "cohorts: {brackets: [1-7, 1 - 7]}\n", 4, "1-7 is said twice; keep one of the two"),
    "a property": (MINIMAL + "cohorts: {properties: [county]}\n", 4, "(it is 'county'); did you mean country?"),
    "a misspelt gate": (
        MINIMAL + "gates:\n  scorse: warn\n",
        5,
        "unknown key `gates.scorse`; did you mean `scores`? known here: files, sources, rejects, dumps, features, "
        "scores, marts, reconciliation, volume",
    ),
    "a gate's verdict": (
        MINIMAL + "gates: {dumps: blok}\n",
        4,
        "'block' or 'warn' (it is 'blok'); did you mean block?",
    ),
    "a schedule": (MINIMAL + "schedule: {nightly: daily}\n", 4, "'daily' is no cron expression; write minute, hour,"),
    "a schedule's name": (MINIMAL + "schedule: {nigthly: '0 1 * * *'}\n", 4, "did you mean `nightly`?"),
    "a look-back": (MINIMAL + "rfm: {lookback: 3}\n", 4, "did you mean `lookback_days`?"),
    "a grain": (MINIMAL + "cohorts: {grains: daily}\n", 4, "'week' or 'month' (it is 'daily'); did you mean day?"),
    "a text for a list": (MINIMAL + "funnels: {f: {steps: a}}\n", 4, "`funnels.f.steps`: expected a list (it is 'a')"),
    "a list for a mapping": (MINIMAL + "    columns: [a]\n", 4, "expected a mapping of keys to values"),
    "a column no event has": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: 'revenu > 1'}]\n",
        6,
        "`funnels.buy.steps.1.where`: an event has no column revenu; did you mean revenue?",
    ),
    "a text in double quotes": (
        MINIMAL + "funnels: {f: {steps: [{where: 'currency = \"BRL\"'}]}}\n",
        4,
        "for the text BRL write 'BRL', as double quotes are for names",
    ),
    "a key of properties": (
        MINIMAL + "funnels: {f: {steps: [{where: \"properties.plan = 'pro'\"}]}}\n",
        4,
        "; write properties->>'plan'",
    ),
    "a window without end": (
        MINIMAL + "funnels: {f: {window_hours: .inf, steps: [a, b]}}\n",
        4,
        "`funnels.f.window_hours`: expected less than or equal to 878400 (it is inf)",
    ),
    "a key that reads like a path": (
        MINIMAL + "funnels: {f: {steps: [{where: \"properties->>'$os' = 'iOS'\"}]}}\n",
        4,
        "the key $os is written '$.\"$os\"'",
    ),
    "half a condition": (MINIMAL + "funnels: {f: {steps: [{where: 'revenue >'}]}}\n", 4, "is no condition on an event"),
    "a text that is no number": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: \"revenue > 'much'\"}]\n",
        6,
        "`funnels.buy.steps.1.where`: `revenue > 'much'` is no condition on an event: Conversion Error",
    ),
    "a condition on several events": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: 'count(*) > 1'}]\n",
        6,
        "`count(*) > 1` is a condition on several events, not on one",
    ),
    "a condition that the clock decides": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: 'event_ts > now()'}]\n",
        6,
        "`event_ts > now()`: now() is not allowed: its result changes from run to run",
    ),
    "a condition that today decides": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: 'event_ts > current_date'}]\n",
        6,
        "`event_ts > current_date`: current_date is not allowed: its result changes from run to run",
    ),
    "a breakdown by where a row is stored": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, b]\n    breakdown: rowid\n",
        7,
        "an event has no column rowid; known: event_id, ",
    ),
    "a condition by another name of the table": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {event: b, where: \"event.page = '/'\"}]\n",
        6,
        "an event has no column event; known: event_id, ",
    ),
    "a breakdown by chance": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, b]\n    breakdown: random()\n",
        7,
        "`random()`: random() is not allowed: its result changes from run to run",
    ),
    "a condition that reads a file": (
        MINIMAL + "funnels:\n  buy:\n    steps: [a, {where: \"exists (select 1 from read_text('/etc/hostname'))\"}]\n",
        6,
        "is no condition on an event: Permission Error",
    ),
    "a value for a condition": (MINIMAL + "funnels: {f: {steps: [{where: page}]}}\n", 4, "it is a varchar, not true"),
    "a lifetime of no days": (
        MINIMAL + "clv: {horizon_days: 0}\n",
        4,
        "`clv.horizon_days`: expected greater than|or equal to 1",
    ),
    "a discount in per cent": (
        MINIMAL + "clv: {discount_per_year: 10}\n",
        4,
        "`clv.discount_per_year`: expected less than|or equal to 1",
    ),
    "a key that lifetime value has not": (
        MINIMAL + "clv: {horizon: 90}\n",
        4,
        "unknown key `clv.horizon`; did you mean `horizon_days`?",
    ),
    "a path of no steps": (MINIMAL + "paths: {length: 0}\n", 4, "`paths.length`: expected greater than|or equal to 1"),
    "an address for a site": (
        MINIMAL + "channels: {own_sites: ['https://shop.example/']}\n",
        4,
        "'https://shop.example/' is no site; name it without scheme",
    ),
    "a rule on what no session has": (
        MINIMAL + "channels:\n  rules:\n    Partners: \"utm_medum = 'partner'\"\n",
        6,
        "`channels.rules.Partners`: a session has no column utm_medum; did you mean medium?",
    ),
    "a rule that is no condition": (MINIMAL + "channels: {rules: {A: medium}}\n", 4, "it is a varchar, not true"),
    "a look-back of nothing": (MINIMAL + "attribution: {lookback_days: 0}\n", 4, "`attribution.lookback_days`"),
    "an exclusion that names no step": (
        MINIMAL + "funnels:\n  f:\n    steps: [cart, paid]\n    exclusions: [{event: x, between: [crt, paid]}]\n",
        5,
        "`funnels.f`: exclusion 'x': no step is called 'crt'; did you mean 'cart'?",
    ),
    "an exclusion the wrong way round": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [{event: x, between: [b, a]}]}}\n",
        4,
        "exclusion 'x': step 'b' does not come before 'a'",
    ),
    "an exclusion of one step": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [{event: x, between: [b]}]}}\n",
        4,
        "`funnels.f.exclusions.0.between`: expected the names of two steps, such as [cart, paid]",
    ),
    "an exclusion beside an optional step": (
        MINIMAL
        + "funnels: {f: {steps: [a, {event: b, optional: true}, c], exclusions: [{event: x, between: [b, c]}]}}\n",
        4,
        "step 'b' is optional; name steps that may not be skipped",
    ),
    "an exclusion that no path could pass": (
        MINIMAL + "funnels: {f: {steps: [a, b, c], exclusions: [b]}}\n",
        4,
        "step 'b' lies between and is the same event, so that no path could pass it",
    ),
    "an exclusion of nothing": (MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [{}]}}\n", 4, "an exclusion needs"),
    "an exclusion's unknown key": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [{evnt: x}]}}\n",
        4,
        "unknown key `funnels.f.exclusions.0.evnt`; did you mean `event`?",
    ),
    "an exclusion without an order": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [x], order: unordered}}\n",
        4,
        "order: unordered has no steps to exclude between",
    ),
    "an exclusion where nothing comes between": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [x], order: strict}}\n",
        4,
        "order: strict lets no other event come between",
    ),
    "an exclusion that ClickHouse has not": (
        MINIMAL + "funnels: {f: {steps: [a, b], exclusions: [x], semantics: clickhouse}}\n",
        4,
        "semantics: clickhouse has no exclusions",
    ),
    "an optional first step": (
        MINIMAL + "funnels: {f: {steps: [{event: a, optional: true}, b]}}\n",
        4,
        "step 'a' is the first and cannot be optional",
    ),
    "an optional last step": (
        MINIMAL + "funnels: {f: {steps: [a, {event: b, optional: true}]}}\n",
        4,
        "step 'b' is the last and cannot be optional",
    ),
    "an optional step in any order": (
        MINIMAL + "funnels: {f: {steps: [a, {event: b, optional: true}, c], order: unordered}}\n",
        4,
        "an optional step needs order: ordered, not unordered",
    ),
    "unknown semantics": (
        MINIMAL + "funnels:\n  f:\n    steps: [a]\n    semantics: postog\n",
        7,
        "`funnels.f.semantics`|did you mean posthog?",
    ),
    "semantics of another order": (
        MINIMAL + "funnels: {f: {steps: [a, b], order: strict, semantics: mixpanel}}\n",
        4,
        "semantics: mixpanel is defined for order: ordered alone",
    ),
    "a breakdown by no column": (
        MINIMAL + "funnels:\n  f:\n    steps: [a]\n    breakdown: contry\n",
        7,
        "`funnels.f.breakdown.by`: an event has no column contry; did you mean country?",
    ),
    "a breakdown by no column of users": (
        MINIMAL + "funnels: {f: {steps: [a], breakdown: users.rfm_segmnt}}\n",
        4,
        "users has no column rfm_segmnt to break down by; did you mean users.rfm_segment?",
    ),
    "a breakdown by several events": (
        MINIMAL + "funnels: {f: {steps: [a], breakdown: max(country)}}\n",
        4,
        "`max(country)` is a value of several events, not of one",
    ),
    "a breakdown's unknown key": (
        MINIMAL + "funnels: {f: {steps: [a], breakdown: {by: country, to: 3}}}\n",
        4,
        "unknown key `funnels.f.breakdown.to`; did you mean `top`?",
    ),
    "no value of a breakdown": (
        MINIMAL + "funnels: {f: {steps: [a], breakdown: {by: country, top: 0}}}\n",
        4,
        "`funnels.f.breakdown.top`",
    ),
    "a tab": ("sources:\n\tweb: {}\n", 2, "cannot start any token"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    text, line, message = MISTAKES[case]
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, text)
    said = str(caught.value)
    assert str(tmp_path / "avila.yml") in said
    assert f"line {line}:" in said
    assert any(part in said for part in message.split("|")), said


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = "reporting_timezone: Mars\nsources:\n  web: {path: a, timezone: Moon}\nsesions: {}\n"
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, text)
    assert [f"line {line}:" in str(caught.value) for line in (1, 3, 4)] == [True] * 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "hello", "null"])
def test_a_file_that_says_nothing_is_a_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(DeclarationError, match="expected a mapping with at least the key `sources`"):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no such file; create it, as README"):
        Declarations.load(tmp_path / "avila.yml")
    with pytest.raises(DeclarationError, match="cannot be read"):
        Declarations.load(tmp_path)


def test_one_mistake_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, MINIMAL + "cohorts: {grains: [daily]}\n")
    assert len(str(caught.value).splitlines()) == 2


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
