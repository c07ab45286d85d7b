"""A lake knows by `READER_VERSION` alone that what it holds of a dump is not what would be read of it today."""

import hashlib
import json

from orchestration.ingestion.sources import READER_VERSION
from tests.ingestion.conftest import House

VERSION, CONTENT = 5, "2e52cdbeb67dd043b9f2aed4ab64c5c14340e0c44b51b4a20275682b6584866e"

TIMES = [
    *("2024-01-02 03:04:05", "2024-01-02T03:04:05.678Z", "2024-01-02 03:04:05.678 -0800", "2024-01-02 03:04:05 -08:00"),
    *("2024-01-02T03:04Z", "2024-01-02 03:04-0800"),
    *("02/Jan/2024:03:04:05 +0000", "Tue Jan  2 03:04:05 2024", "Tue, 02 Jan 2024 03:04:05 GMT", "03/04/2024"),
    *("1704164645", "1704164645123", "1704164645.5", "20240102030405", "20240102", "2024", "1969-12-31", ""),
]
AMOUNTS = ["9.99", "1.23456", "-5", "1e3", "EUR 5", "99999999999999", "999999999999", "true", "", "0x10"]
OBJECTS = [
    {"properties": {"plan": "a", "n": 1}, "deep": {"n": 12345678901234567890}, "items": [{"item_id": "x"}]},
    {"properties": "none", "deep": {"n": 1}, "é": "\u00fc", "page": "https://shop.example/a?b=c"},
    {"properties": '{"plan": "b", "deep": 2}', "deep": None, "user_id": None, "anonymous_id": " d1 "},
    {"deep": {"n": 1.0, "at": "2024-01-02 03:04:05+02"}, "user_id": "NULL"},
    {"deep": {"n": "007"}, "user_id": 7, "revenue": "7.5", "country": "", "Country": "BR"},
]
DUMPS = {
    "times.csv": "event_ts,event_name,user_id\n" + "".join(f"{time},view,ada\n" for time in TIMES),
    "amounts.csv": "event_ts,event_name,user_id,revenue,quantity,other\n"
    + "".join(f"2024-01-02,buy,ada,{amount},{amount},{amount}\n" for amount in AMOUNTS),
    "objects.jsonl": "".join(
        json.dumps({"event_ts": "2024-01-02", "event_name": "view", "user_id": "ada", **said}) + "\n"
        for said in OBJECTS
    ),
}
COLUMNS = {
    "objects.jsonl": {"item_id": "deep.n", "received_ts": "cast(deep.at as timestamp)", "device": "upper(deep.at)"}
}


def test_what_is_read_of_a_dump_changes_with_the_version_alone(house: House) -> None:
    """Where this fails, raise `READER_VERSION`, so that no lake stays half read by an older version; then note both."""
    for name, content in DUMPS.items():
        house.write(name, content)
        report = house.load(name=name.split(".")[0], path=(f"landing/{name}",), columns=COLUMNS.get(name, {}))
        assert not report.failures
    events = [{column: value for column, value in event.items() if column != "load_id"} for event in house.events()]
    rejects = [(reject["file"], reject["row_number"]) for reject in house.rejects()]
    content = hashlib.sha256(repr((events, rejects)).encode()).hexdigest()
    assert (READER_VERSION, content) == (VERSION, CONTENT), (events, rejects)
