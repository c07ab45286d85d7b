"""A mistake in `avila.yml` is named with its line, its key and what was expected; all are named at once."""

from pathlib import Path

import pytest

from orchestration.declarations import DeclarationError, Declarations
from tests.ingestion.test_declarations import MINIMAL, load

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
    "the machine's own zone": ("reporting_timezone: localtime\n" + MINIMAL, 1, "'localtime' is not an IANA time zone"),
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
    "no text": (
        MINIMAL + "    columns: {revenue: null}\n",
        4,
        '`sources.web.columns.revenue`: expected a string; no value is written "null", with the quotes',
    ),
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
    "a window under a second": (
        MINIMAL + "funnels: {f: {window_hours: 0.0001, steps: [a, b]}}\n",
        4,
        "`funnels.f.window_hours`: expected at least a second, which is 0.00028 (it is 0.0001)",
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
    "a tab": (
        "sources:\n\tweb: {}\n",
        2,
        "cannot start any token\n    web: {}\n  put blanks in place of the tab; YAML takes none",
    ),
    "a backslash in double quotes": (
        MINIMAL + '    pattern: "(?P<a>\\d+)"\n',
        4,
        "in double quotes a \\ begins an escape, as \\n does; put what has a \\ in it in single quotes",
    ),
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
