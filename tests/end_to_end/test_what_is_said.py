"""What a night says of dumps that cannot be read, rows that are rejected, and names that match nothing."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Night, RunNight

DAYS = [f"2024-{month:02d}-{day:02d}" for month in (1, 2, 3) for day in range(1, 29)]
HEADER = "ts,event,user_id,revenue\n"
SHOP = HEADER + "".join(
    f"{day} {hour:02d}:00:00,{event},u{user},{revenue}\n"
    for number, day in enumerate(DAYS)
    for user in (number % 7, number % 11 + 7)
    for hour, event, revenue in ((13, "view", ""), (14, "purchase", 10))
)
COLUMNS = "columns: {event_ts: ts, event_name: event}"
BLOCKED = f"""
sources:
  shop:
    path: landing/shop/*.csv
    {COLUMNS}
  typo:
    path: landing/tyop/*.csv
    {COLUMNS}
  rotten:
    path: landing/rotten/*.parquet
    {COLUMNS}
  messy:
    path: landing/messy/*.csv
    {COLUMNS}
  lines:
    path: landing/lines/*.txt
    format: text
    pattern: '^E (?P<ts>\\S+) (?P<event>\\w+) (?P<user_id>\\w+) (?P<Revenue>\\w+)'
    {COLUMNS}
  former:
    path: landing/former/*.csv
    removed_files: withdraw
    {COLUMNS}
"""
MENDED = f"""
reporting_timezone: America/Sao_Paulo
sources:
  shop:
    path: landing/shop/*.csv
    {COLUMNS}
  rotten:
    path: [landing/rotten/*.parquet, landing/rotten/*.csv]
    {COLUMNS}
  days:
    path: landing/days/*.csv
    {COLUMNS}
  former:
    path: landing/former/*.csv
    removed_files: withdraw
    {COLUMNS}
key_events: [purchse]
conversion: {{event: purchase}}
funnels:
  buying: {{steps: [view, Buy]}}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("said")
    dumps = {
        "shop/a.csv": SHOP,
        "rotten/a.parquet": "PAR1, but no more than that",
        "messy/a.csv": HEADER + "soon,view,u1,\n" * 3 + "2024-01-01,,u1,\n" * 2 + "2024-01-01,view,u1,\n",
        "lines/a.txt": "H a header\nE 2024-01-01 view u1 FALSE\n",
        "former/a.csv": HEADER + "2024-01-01 08:00:00,view,f1,\n",
        "days/a.csv": HEADER + "2024-01-01,view,u1,\n" * 3 + "2024-01-02,view,u1,\n",
    }
    for name, content in dumps.items():
        path = made / "landing" / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return made


@pytest.fixture(scope="module")
def blocked(root: Path, run_night: RunNight) -> Night:
    (root / "avila.yml").write_text(BLOCKED)
    return run_night(root)


@pytest.fixture(scope="module")
def mended(root: Path, blocked: Night, run_night: RunNight) -> Night:
    """The night after: the unreadable file has good ones beside it, and a source's only file has gone."""
    assert blocked.code == 1
    (root / "landing" / "former" / "a.csv").unlink()
    (root / "landing" / "rotten" / "b.csv").write_text(HEADER + SHOP.removeprefix(HEADER).replace(",u", ",r"))
    (root / "avila.yml").write_text(MENDED)
    night = run_night(root)
    assert night.code == 0, night.errors
    return night


def told(night: Night) -> str:
    """What stands after the log: of a blocked night, on the other stream."""
    return night.output if night.code == 0 else night.errors


def test_a_source_of_which_nothing_was_ever_loaded_blocks(blocked: Night, root: Path) -> None:
    assert "lake/typo: something_is_loaded failed. Nothing of this source has ever been loaded." in blocked.errors
    missing = f"no file matches landing/tyop/*.csv; looked in {root}/landing/tyop, which does not exist"
    assert missing in blocked.errors
    assert "lake/rotten: something_is_loaded failed." in blocked.errors
    assert "landing/rotten/a.parquet: no readable Parquet file" in blocked.errors
    assert blocked.errors.count("lake/shop") == 0
    assert not (root / "published" / "marts.duckdb").exists()


def test_too_many_rejects_are_explained(blocked: Night, root: Path) -> None:
    said = blocked.errors
    assert "83.3% of the rows are rejected, over 5.0%; most often:" in said
    assert "3 rows: event_ts is 'soon', not a timestamp that can be read; give a strptime expression" in said
    assert "landing/messy/a.csv:1  soon,view,u1," in said
    assert "2 rows: event_name is missing" in said
    assert "Filter such rows with `where:`" in said
    assert f"from '{root}/lake/rejects/*.parquet' where source = 'messy'" in said
    assert "`where:` is asked of lines that match the pattern; one that ends with `|.*` matches all." in said
    assert "revenue is the dump's own column of this name;" in said


def test_a_failure_is_told_once(blocked: Night, mended: Night) -> None:
    for text in ("typo: something_is_loaded failed", "83.3% of the rows", "2 rows: event_name is missing"):
        assert blocked.errors.count(text) == 1
    assert mended.output.count("landing/rotten/a.parquet: no readable Parquet file") == 1


def test_one_unreadable_file_among_good_ones_is_told_after_the_report(mended: Night) -> None:
    report, notices = mended.output.split("Worth a look")
    assert "lake/rotten: every_file_could_be_read:" in notices
    rows = {line.split()[0]: line.split() for line in report.splitlines() if line.startswith((" rotten", " days"))}
    assert rows["rotten"][:3] == ["rotten", "1", "1"]
    assert rows["days"][:7] == ["days", "1", "0", "4", "0", "0", "2"]


def test_a_source_whose_only_file_is_withdrawn_blocks_nothing_and_is_told(mended: Night) -> None:
    report, notices = mended.output.split("Worth a look")
    assert "lake/former: source former: none of its files is there any more" in notices
    assert "ever been loaded" not in notices
    rows = [line.split() for line in report.splitlines() if line.startswith(" former")]
    assert [row[:4] for row in rows] == [["former", "0", "0", "0"]]


def test_names_copies_and_dates_that_do_not_fit_are_told(mended: Night) -> None:
    notices = mended.output.split("Worth a look")[1]
    assert "no event is called 'purchse' in any source (key_events); did you mean 'purchase'?" in notices
    assert "no event is called 'Buy' in any source (funnel buying); events are called " in notices
    assert "source days: 2 of 4 rows (50%) are copies of another and count once" in notices
    assert (
        "source days: every event stands at 00:00 UTC, which is 21:00 of the day before in America/Sao_Paulo" in notices
    )
    assert "source shop: every event" not in notices


def test_hints_of_commands_name_the_warehouse(mended: Night, root: Path) -> None:
    assert f"AVILA_DATA_DIR={root} make sql" in mended.output
