"""Nothing a dump can hold makes a load fail or lose a row: every record is an event, a reject, or filtered."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestration.ingestion.records import MAX_RECORD
from tests.ingestion.conftest import Bench

HEADER = b"ts,ev,u,revenue\n"
GOOD = b"2020-01-01 00:00:00,view,u1,1.5\n"
JSON = b'{"ts":"2020-01-01T00:00:00Z","ev":"view","u":"u1"}'


def kept(bench: Bench, content: bytes, name: str = "a.csv", **options: object) -> tuple[list[int], list[int]]:
    """The numbers of the records that became events, and of those that were rejected."""
    outcome = bench.load(name, content, **options)
    events = [event["dump_row"] for event in outcome.events]
    rejects = [reject["row_number"] for reject in outcome.rejects]
    assert len(events) == outcome.loaded.rows
    assert len(rejects) == outcome.loaded.rejected
    return events, rejects


# By hand: the content after the header, the records that are events, and those that are rejects.
CSV = {
    "plain": (GOOD * 3, [1, 2, 3], []),
    "nothing": (b"", [], []),
    "blank lines are no records": (b"\n" + GOOD + b"\n\n" + GOOD, [1, 2], []),
    "a line of blanks is one": (GOOD + b"   \n" + GOOD, [1, 3], [2]),
    "last line cut": (GOOD + b"2020-01-01 00:00:00,vi", [1], [2]),
    "last line without end": (GOOD + GOOD[:-1], [1, 2], []),
    "too few and too many fields": (GOOD + b"2020-01-01,v\n" + b"2020-01-01,v,u,1,2,3\n" + GOOD, [1, 4], [2, 3]),
    "delimiter at the line's end": (b"2020-01-01,v,u,1,\n" + GOOD, [1, 2], []),
    "quote never closed": (GOOD + b'2020-01-01,view,"u1,1.5\n' + GOOD * 2, [1, 3, 4], [2]),
    "quote never closed in the last field": (GOOD * 2 + b'2020-01-01,view,u1,"1.5', [1, 2], [3]),
    "quote closed lines later": (
        GOOD + b'2020-01-01,"v,u1,1\n' + GOOD + b'2020-01-01,v"x,u1,1\n' + GOOD,
        [1, 3, 4, 5],
        [2],
    ),
    "text after a closing quote": (GOOD + b'2020-01-01,"v"x,u1,1\n' + GOOD, [1, 3], [2]),
    "quotes within a field": (b'2020-01-01,5" screen,u1,1\n', [1], []),
    "quoted line end": (GOOD + b'2020-01-01,"a\nb",u1,1\n' + GOOD, [1, 2, 3], []),
    "quoted line ends of two kinds": (GOOD + b'2020-01-01,"a\r\nb\nc",u1,1\n' + GOOD, [1, 2, 3], []),
    "quoted line end beside a short row": (b'2020-01-01,"a\r\nb",u1,1\r\n2020-01-01,v\r\n', [1], [2]),
    "invalid UTF-8": (GOOD + b"2020-01-01,\xff\xfe,u1,1\n" + GOOD, [1, 3], [2]),
    "NUL bytes": (GOOD + b"2020-01-01,a\x00b,u\x00,1\n" + GOOD, [1, 2, 3], []),
    "CRLF": ((GOOD * 2).replace(b"\n", b"\r\n"), [1, 2], []),
    "mixed line ends": (GOOD + GOOD.replace(b"\n", b"\r\n") + GOOD, [1, 2, 3], []),
    "lone carriage return": (GOOD + b"2020-01-01,a\rb,u1,1\n" + GOOD, [1, 3], [2]),
    "one 10 MB field": (GOOD + GOOD.replace(b"view", b"x" * 10_000_000) + GOOD, [1, 2, 3], []),
    "one longer than any record may be": (GOOD + GOOD.replace(b"view", b"x" * MAX_RECORD) + GOOD, [1, 3], [2]),
    "marks of our own": (GOOD + "\ufdd1,\ufdd0x\ufdd0,,\n".encode() + GOOD, [1, 3], [2]),
}


@pytest.mark.parametrize("case", CSV)
def test_csv(bench: Bench, case: str) -> None:
    body, events, rejects = CSV[case]
    header = HEADER.replace(b"\n", b"\r\n") if case == "CRLF" else HEADER
    assert kept(bench, header + body) == (events, rejects)


JSONL = {
    "plain": (JSON + b"\n" + JSON + b"\n", [1, 2], []),
    "last line without end": (JSON + b"\n" + JSON, [1, 2], []),
    "blank lines are numbered, but no records": (JSON + b"\n\n   \n" + JSON, [1, 4], []),
    "not JSON, or not an object": (JSON + b'\nnope\n[1]\n"x"\n12\nnull\n{"a":\n' + JSON, [1, 8], [2, 3, 4, 5, 6, 7]),
    "nothing in it": (b"{}\n" + JSON, [2], [1]),
    "CRLF and worse": (JSON + b"\r\n" + JSON + b"\r\r\n" + JSON + b"\n", [1, 2, 3], []),
    "invalid UTF-8": (JSON + b"\n" + JSON.replace(b"u1", b"\xff") + b"\n" + JSON, [1, 3], [2]),
    "NUL bytes": (JSON + b"\n\x00\x00\n" + JSON.replace(b"u1", b"\x00") + b"\n" + JSON, [1, 4], [2, 3]),
    "the delimiter lines are read with": (JSON + b"\na\x1fb\n" + JSON, [1, 3], [2]),
    "100 deep": (JSON[:-1] + b',"d":' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}\n" + JSON, [1, 2], []),
    "5,000 deep": (JSON + b"\n" + JSON[:-1] + b',"d":' + b"[" * 5000 + b"]" * 5000 + b"}\n", [1, 2], []),
    "keys that differ by case": (b'{"ts":"2020-01-01","ev":"v","u":"a","U":"b","EV":1}\n' + JSON, [1, 2], []),
    "the same key twice": (b'{"ts":"2020-01-01","ev":"v","u":"a","u":"b"}\n', [1], []),
    "a 10 MB line": (JSON + b"\n" + JSON[:-1] + b',"d":"' + b"x" * 10_000_000 + b'"}\n' + JSON, [1, 2, 3], []),
    "a longer one": (JSON + b"\n" + JSON[:-1] + b',"d":"' + b"x" * MAX_RECORD + b'"}\n' + JSON, [1, 3], [2]),
    "marks of our own": (JSON + "\n\ufdd0x\ufdd0\n\ufdd1\n".encode() + JSON, [1, 4], [2, 3]),
}


@pytest.mark.parametrize("case", JSONL)
def test_json_lines(bench: Bench, case: str) -> None:
    content, events, rejects = JSONL[case]
    assert kept(bench, content, "a.jsonl") == (events, rejects)


def test_comments_of_a_log_are_no_records(bench: Bench) -> None:
    options = {"format": "text", "pattern": r"^(?P<ts>\S+) (?P<ev>\S+) (?P<u>\S+)$"}
    content = b"# rotated\n2020-01-01 view u1\n  #\n\n#2020-01-02 view u2\n# why\n"
    assert kept(bench, content, "a.log", comment="#", **options) == ([2], [])
    assert kept(bench, content, "a.log", **options) == ([2], [1, 3, 5, 6])


def test_quotes_of_a_w3c_log_are_no_part_of_its_fields(bench: Bench) -> None:
    log = b'#Fields: ts ev u x\n"2020-01-01 10:00:00" "view ""it""" "-" "\n"2020-01-01" view "u 1" "a b"\n'
    columns = {"event_ts": "ts", "event_name": "ev", "user_id": "coalesce(u, 'nobody')"}
    outcome = bench.load("a.log", log, format="w3c", columns=columns)
    found = [(e["event_ts"].hour, e["event_name"], e["user_id"], e["properties"]) for e in outcome.events]
    assert found == [(10, 'view "it"', "nobody", '{"x":"\\""}'), (0, "view", "u 1", '{"u":"u 1","x":"a b"}')]


def test_keys_that_differ_by_case_keep_their_own_values(bench: Bench) -> None:
    record = json.loads(JSON) | {"U": "b", "EV": 1, "k": "x", "K": {"k": 2}}
    (event,) = bench.load("a.jsonl", json.dumps(record)).events
    assert (event["user_id"], event["event_name"]) == ("u1", "view")
    assert json.loads(event["properties"]) == {"U": "b", "EV": 1, "k": "x", "K": {"k": 2}}


def test_headers_that_repeat_lose_no_field(bench: Bench) -> None:
    (event,) = bench.load("a.csv", b"ts,ev,u,x,x,X,\n2020-01-01,view,u1,1,2,3,4\n").events
    found = json.loads(event["properties"])
    assert sorted(found.values()) == ["1", "2", "3", "4"]
    assert found["x"] == "1"
    (event,) = bench.load("a.csv", b"ts,ev,u,u\n2020-01-01,view,u1,u2\n").events
    assert event["user_id"] == "u1"
    assert "u2" in json.loads(event["properties"]).values()


OUT_OF_RANGE = ["0001-01-01", "0001-01-01T00:00:00Z", "9999-12-31", "9999-12-31 23:59:59.999999", "-4712-01-01"]
OUT_OF_RANGE += ["294247-01-10 04:00:54", "infinity", "-infinity", "1e30", "99999999999999999999", "-62135596800"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_times_at_the_ends_of_calendars_are_rejected_with_their_text(bench: Bench, name: str) -> None:
    if name == "a.csv":
        content = HEADER + GOOD + b"".join(f"{ts},view,u1,1\n".encode() for ts in OUT_OF_RANGE)
    else:
        content = b"\n".join([JSON, *(JSON.replace(b"2020-01-01T00:00:00Z", ts.encode()) for ts in OUT_OF_RANGE)])
    outcome = bench.load(name, content)
    assert [event["dump_row"] for event in outcome.events] == [1]
    assert [reject["row_number"] for reject in outcome.rejects] == list(range(2, len(OUT_OF_RANGE) + 2))
    for reject, ts in zip(outcome.rejects, OUT_OF_RANGE, strict=True):
        assert reject["reason"].startswith("event_ts is '")
        assert ts in reject["raw_text"]


NO_MONEY = ["NaN", "nan", "Infinity", "-Infinity", "inf", "1,5", "1.234,56", "1e400", "R$ 5", "99999999999999999"]


@pytest.mark.parametrize("revenue", ["revenue", "revenue * 1", "cast(revenue as double)"])
def test_money_that_is_no_number_is_rejected_and_never_summed(bench: Bench, revenue: str) -> None:
    rows = [f'2020-01-01,view,u1,"{money}"\n' for money in NO_MONEY]
    columns = {"event_ts": "ts", "event_name": "ev", "user_id": "u", "revenue": revenue}
    events, rejects = kept(bench, HEADER + GOOD + "".join(rows).encode(), columns=columns)
    assert (events, rejects) == ([1], list(range(2, len(NO_MONEY) + 2)))


def test_money_that_cannot_be_summed_is_rejected_with_its_text(bench: Bench) -> None:
    rows = ("999999999999.9999", "-999999999999.9999", "1000000000000", "99999999999999", "-1e13")
    body = "ts,ev,u,revenue,quantity\n" + "".join(f"2020-01-01,view,u1,{money},99999999999999\n" for money in rows)
    outcome = bench.load("a.csv", body)
    assert [str(event["revenue"]) for event in outcome.events] == ["999999999999.9999", "-999999999999.9999"]
    assert {str(event["quantity"]) for event in outcome.events} == {"99999999999999.0000"}
    assert outcome.reasons == [
        f"revenue is '{money}', not below 1,000,000,000,000 either way; is it an amount, and in its usual unit?"
        for money in rows[2:]
    ]


def test_money_that_json_cannot_hold_is_rejected(bench: Bench) -> None:
    lines = [JSON[:-1] + b',"revenue":' + money + b"}" for money in (b"1.5", b"NaN", b"-Infinity", b'"NaN"', b"1e999")]
    outcome = bench.load("a.jsonl", b"\n".join(lines))
    assert [event["dump_row"] for event in outcome.events] == [1]
    assert [reject["row_number"] for reject in outcome.rejects] == [2, 3, 4, 5]


ARRAYS = {
    "an array, indented": (b"[\n  " + JSON + b",\n  " + JSON.replace(b",", b",\n") + b"\n]\n", [1, 2], []),
    "an array on one line": (b"[" + b",".join([JSON] * 3) + b"]", [1, 2, 3], []),
    "an array with a broken item": (b"[\n" + JSON + b',\n{"ts": oops},\n' + JSON + b"]", [1, 3], [2]),
    "an array cut off": (b"[\n" + JSON + b",\n" + JSON[:20], [1], [2]),
    "documents over many lines": ((json.dumps(json.loads(JSON), indent=2) + "\n").encode() * 2, [1, 2], []),
    "an empty array": (b"[]", [], []),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_json_arrays(bench: Bench, case: str) -> None:
    content, events, rejects = ARRAYS[case]
    assert kept(bench, content, "a.json") == (events, rejects)


# ------------------------------------------------------------------------------------------------ fuzz

BYTES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"\n", b"\r\n", b"\r", b'"', b'""', b",", b",,,", b"\x00", b"\xff", b"\xef\xbb\xbf", GOOD, HEADER]
    ),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@FUZZ
@given(pieces=st.lists(BYTES, max_size=12))
def test_any_bytes_as_csv_are_accounted_for(bench: Bench, pieces: list[bytes]) -> None:
    outcome = bench.load("a.csv", HEADER + GOOD + b"".join(pieces), csv={"header": True})
    assert outcome.accounted == outcome.loaded.rows + len(outcome.rejects)
    numbers = sorted([e["dump_row"] for e in outcome.events] + [r["row_number"] for r in outcome.rejects])
    assert numbers == list(range(1, len(numbers) + 1))
    # Every letter of the dump is in what came of it: in an event or in a reject's text.
    letters = "".join(c for c in b"".join(pieces).decode("ascii", "ignore") if c.isalnum())
    shown = "".join(str(value) for row in (*outcome.events, *outcome.rejects) for value in row.values())
    assert not set(letters) - set(shown)


@FUZZ
@given(pieces=st.lists(BYTES, max_size=12))
def test_any_bytes_as_json_lines_are_accounted_for(bench: Bench, pieces: list[bytes]) -> None:
    content = JSON + b"\n" + b"".join(pieces)
    outcome = bench.load("a.jsonl", content)
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b" ").split(b"\n")
    filled = [number for number, line in enumerate(lines, start=1) if line.strip(b" ")]
    numbers = sorted([e["dump_row"] for e in outcome.events] + [r["row_number"] for r in outcome.rejects])
    assert numbers == filled


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["ts", "ev", "u", "revenue", "quantity", "page", "Page", "k", "K", "a.b", "x\x00", "\ud83d", "~/", 'q"', "é", ""]
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)


@FUZZ
@given(objects=st.lists(OBJECTS, min_size=1, max_size=8))
def test_any_json_objects_are_accounted_for_and_nothing_in_them_is_lost(
    bench: Bench, objects: list[dict[str, object]]
) -> None:
    whole = [{"ts": "2020-01-01", "ev": "view", "u": "u1"} | o for o in objects]
    outcome = bench.load("a.jsonl", "\n".join(json.dumps(o) for o in whole))
    numbers = sorted([e["dump_row"] for e in outcome.events] + [r["row_number"] for r in outcome.rejects])
    assert numbers == list(range(1, len(whole) + 1))
    taken = {"ts", "ev", "u", "revenue", "quantity", "page"}
    for event in outcome.events:
        given_ = whole[event["dump_row"] - 1]
        assert {k for k in json.loads(event["properties"]) if k.casefold() not in taken} == {
            k for k, v in given_.items() if v is not None and k.casefold() not in taken
        }


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["2020-01-01", "2020-06-30T12:00:00Z", "nope", ""]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
        st.sampled_from(["u1", "", "null", "007"]),
    ),
    min_size=1,
    max_size=12,
)


@FUZZ
@given(
    records=RECORDS,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    ended=st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_csv_writes_is_read_back(
    bench: Bench, records: list[tuple[str, str, str]], delimiter: str, quoting: int, ended: str
) -> None:
    # Python's csv quotes the line ends that it writes, and no others where it quotes what must be.
    assume(quoting == csv.QUOTE_ALL or ended == "\r\n" or not any("\r" in name for _, name, _ in records))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=ended)
    writer.writerows([("ts", "ev", "u"), *records])
    outcome = bench.load("a.csv", text.getvalue(), csv={"header": True, "delimiter": delimiter})
    assert outcome.accounted == len(records)
    for event in outcome.events:
        ts, name, user = records[event["dump_row"] - 1]
        assert (event["event_name"], event["user_id"]) == (name, user)
        assert ts.startswith(event["event_ts"].date().isoformat())
    wrong = {
        number
        for number, (ts, name, user) in enumerate(records, start=1)
        if ts in ("nope", "") or not name or user in ("", "null")
    }
    assert {reject["row_number"] for reject in outcome.rejects} == wrong
