"""Dumps in S3 buckets are loaded as local ones are: each content once, whatever happens on the way."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingestion import bucket, object_store
from orchestration.ingestion.bucket import Bucket
from orchestration.ingestion.loader import Loader
from orchestration.ingestion.object_store import BucketError
from orchestration.settings import PROJECT_ROOT, ObjectStore
from tests.ingestion.conftest import COLUMNS, House, source
from tests.ingestion.storage import KEY_ID, LONG_AGO, SECRET, TOKEN, Server, Storage
from tests.ingestion.test_lake import counts, day

PATH = "s3://dumps/web/*"


def environment(server: Server) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_REGION": "eu-west-3",
        "AWS_ENDPOINT_URL": server.address,
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    made = Server()
    for name, value in environment(made).items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture
def storage(server: Server) -> Storage:
    return server.storage


def test_objects_are_loaded_once_and_described_once_more_by_one_listing(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    storage.put("web/b.csv.gz", gzip.compress(day(2).encode()))
    storage.put("web/deeper/c.csv", day(3))
    report = house.load(path=PATH)
    assert counts(report) == {"loaded": 2, "rows": 6}
    assert (report.warnings, report.failures) == ((), ())
    assert {event["dump_file"] for event in house.events()} == {"s3://dumps/web/a.csv", "s3://dumps/web/b.csv.gz"}
    assert sorted(storage.requests("GET")) == ["dumps/web/a.csv", "dumps/web/b.csv.gz"]
    assert not any((house.root / "lake" / "staging").iterdir())
    storage.asked.clear()
    assert counts(house.load(path=PATH)) == {"unchanged": 2}
    assert storage.asked == ["LIST dumps/?prefix=web/"]


def test_patterns(house: House, storage: Storage) -> None:
    storage.page = 2
    names = ["web/1.csv", "web/2.csv", "web/3.csv", "web/x/4.csv", "web/x/y/5.csv", "web/x/", "app/6.csv", "app/7.txt"]
    for number, name in enumerate(names, start=1):
        storage.put(name, day(number) if not name.endswith("/") else "")

    def found(*patterns: str) -> str:
        made = Bucket("web", house.root / "staging", memory_limit="1GB")
        for pattern in patterns:
            made.find(f"s3://dumps/{pattern}")
        held = "".join(name.rpartition("/")[2][0] for name in names if f"s3://dumps/{name}" in made and name[-1] != "/")
        assert len(made) == len(held)
        made.close()
        return held

    assert found("web/*.csv") == "123"
    assert found("web/**") == "12345"
    assert found("**/*.csv") == "123456"
    assert found("web/[12].csv", "app/*") == "1267"
    assert found("web/3.csv", "web/[23]*") == "23"
    assert found("none/*") == ""


def test_a_list_may_mix_buckets_and_the_disk(house: House, storage: Storage) -> None:
    storage.put("a.csv", day(1))
    storage.put("b.csv", day(2), bucket="others")
    house.write("c.csv", day(3))
    report = house.load(path=("s3://dumps/*.csv", "s3://others/b.csv", "landing/*"))
    assert counts(report) == {"loaded": 3, "rows": 9}
    report = house.load(path=("s3://dumps/nothing*",), name="other")
    assert report.warnings == ("source other: no file matches s3://dumps/nothing*",)


def test_a_copy_under_another_name_is_not_loaded_again(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    house.load(path=PATH)
    storage.put("web/copy.csv", day(1))
    report = house.load(path=PATH)
    assert counts(report) == {"unchanged": 1, "duplicate": 1}
    assert "s3://dumps/web/copy.csv has the content of s3://dumps/web/a.csv" in report.warnings[0]
    house.write("a.csv", day(1))
    assert counts(house.load(path=(PATH, "landing/*"))) == {"unchanged": 2, "duplicate": 1}


def test_a_changed_object_replaces_its_rows(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    storage.put("web/b.csv", day(2))
    house.load(path=PATH)
    storage.asked.clear()
    storage.put("web/a.csv", day(3), changed=LONG_AGO + 1)
    assert counts(house.load(path=PATH)) == {"loaded": 1, "replaced": 1, "unchanged": 1, "rows": 3}
    assert storage.requests("GET") == ["dumps/web/a.csv"]
    assert {str(event["event_ts"])[:10] for event in house.events()} == {"2020-01-02", "2020-01-03"}
    storage.put("web/a.csv", day(3), changed=LONG_AGO + 2)
    assert counts(house.load(path=PATH)) == {"unchanged": 2}


def test_an_object_that_was_fetched_right_after_its_change_is_fetched_once_more(house: House, storage: Storage) -> None:
    now = float(int(time.time()))
    storage.put("web/a.csv", day(1), changed=now)
    house.load(path=PATH)
    storage.put("web/a.csv", day(2), changed=now)
    assert counts(house.load(path=PATH)) == {"loaded": 1, "replaced": 1, "rows": 3}


STILL_WRITTEN = "s3://dumps/web/a.csv is still being written; it is left for the next load"


def test_an_object_that_changes_while_it_is_fetched_is_left_for_the_next_load(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    storage.put("web/b.csv", day(2))

    def change(method: str, key: str) -> None:
        if method == "GET" and key == "web/a.csv":
            storage.put(key, day(3), changed=LONG_AGO + 5)

    storage.before = change
    report = house.load(path=PATH)
    assert (counts(report), report.failures) == ({"loaded": 1, "rows": 3}, ())
    assert report.warnings == (STILL_WRITTEN,)
    storage.before = None
    assert counts(house.load(path=PATH)) == {"loaded": 1, "unchanged": 1, "rows": 3}


def test_an_object_that_changes_while_it_is_loaded_is_left_for_the_next_load(
    house: House, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put("web/a.csv", day(1))
    load = Loader.load

    def load_while_it_changes(self: Loader, *arguments: Any, **options: Any) -> Any:
        loaded = load(self, *arguments, **options)
        storage.put("web/a.csv", day(3), changed=LONG_AGO + 5)
        return loaded

    monkeypatch.setattr(Loader, "load", load_while_it_changes)
    report = house.load(path=PATH)
    assert (counts(report), report.warnings) == ({}, (STILL_WRITTEN,))
    monkeypatch.setattr(Loader, "load", load)
    assert counts(house.load(path=PATH)) == {"loaded": 1, "rows": 3}


def test_an_object_of_another_size_than_listed_is_left_for_the_next_load(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    storage.before = lambda _, key: storage.put(key, day(3, rows=5))
    report = house.load(path=PATH)
    assert (counts(report), report.failures) == ({}, ())
    assert report.warnings == (STILL_WRITTEN,)


def test_objects_that_go_away_keep_their_rows_unless_declared_otherwise(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    storage.put("web/b.csv", day(2))
    house.load(path=PATH)
    del storage.buckets["dumps"]["web/a.csv"]
    assert counts(house.load(path=PATH)) == {"unchanged": 1}
    assert counts(house.load(path=PATH, removed_files="withdraw")) == {"unchanged": 1, "withdrawn": 1}


@pytest.mark.parametrize("path", [PATH, "s3://dumps/web/a.csv"])
def test_a_bucket_that_cannot_be_listed_withdraws_nothing(house: House, storage: Storage, path: str) -> None:
    storage.put("web/a.csv", day(1))
    house.load(path=path, removed_files="withdraw")
    held = storage.buckets.pop("dumps")
    report = house.load(path=path, removed_files="withdraw")
    assert len(report.failures) == 1
    assert len(house.events()) == 3
    storage.buckets["dumps"] = held
    assert counts(house.load(path=path, removed_files="withdraw")) == {"unchanged": 1}


def test_a_changed_mapping_fetches_and_reloads_every_object(house: House, storage: Storage) -> None:
    for number in (1, 2):
        storage.put(f"web/{number}.csv", day(number))
    house.load(path=PATH)
    storage.asked.clear()
    changed = {**COLUMNS, "event_name": "upper(ev)"}
    assert counts(house.load(path=PATH, columns=changed)) == {"loaded": 2, "replaced": 2, "rows": 6}
    assert sorted(storage.requests("GET")) == ["dumps/web/1.csv", "dumps/web/2.csv"]


def test_keys_of_any_spelling(house: House, storage: Storage) -> None:
    keys = ["a[1].csv", "a1.csv", "st*r.csv", "q?x=1.csv", "h#h.csv", "quo'te.csv", "é ü%20+&=.csv", f"{'l' * 300}.csv"]
    for number, key in enumerate(keys, start=1):
        storage.put(f"web/{key}", day(number, rows=number))
    report = house.load(path=PATH)
    assert (report.loaded, report.warnings, report.failures) == (len(keys), (), ())
    rows = {load.file: load.rows for load in house.lake.loads()}
    assert rows == {f"s3://dumps/web/{key}": number for number, key in enumerate(keys, start=1)}


def test_a_damaged_object_is_called_by_its_name(house: House, storage: Storage) -> None:
    storage.put("web/a.csv.gz", b"\x1f\x8bgarbage")
    storage.put("web/b.parquet", b"garbage")
    storage.put("web/c.csv", day(1))
    report = house.load(path=PATH)
    assert counts(report) == {"loaded": 1, "rows": 3}
    assert sorted(failure.split(": ")[0] for failure in report.failures) == [
        "s3://dumps/web/a.csv.gz",
        "s3://dumps/web/b.parquet",
    ]
    assert "staging" not in "".join(report.failures)


def test_an_object_over_the_limit_is_refused_and_the_others_go_on(
    house: House, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_MAX_BLOB", 1000)
    storage.put("web/big.csv", day(1, rows=50))
    storage.put("web/small.csv", day(2))
    report = house.load(path=PATH)
    assert counts(report) == {"loaded": 1, "rows": 3}
    assert len(report.failures) == 1
    assert report.failures[0].startswith("s3://dumps/web/big.csv: its 0.0 MB are more than the 0.0 MB that can be")
    assert storage.requests("GET") == ["dumps/web/small.csv"]


def test_large_objects_are_fetched_whole(house: House, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_SMALL", 100)
    storage.put("web/big.csv", day(1, rows=50))
    assert house.load(path=PATH).rows == 50


def refusal(house: House, path: str) -> str:
    """What a load of one pattern says when it fails; another source is loaded all the same."""
    report = house.load(path=(path, "landing/*"))
    (failure,) = report.failures
    return failure


def test_what_cannot_be_had_is_told_with_its_cure(
    house: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write("a.csv", day(1))
    server.storage.put("web/a.csv", day(2))
    assert refusal(house, "s3://none/*.csv") == (
        "source web: s3://none/*.csv: there is no such bucket or object (HTTP 404, NoSuchBucket); check the name"
    )
    assert len(house.events()) == 3
    assert "s3://dumps/web/none.csv: there is no such bucket or object (HTTP 404" in refusal(
        house, "s3://dumps/web/none.csv"
    )
    assert "names no bucket and objects in it" in refusal(house, "s3://dumps")
    assert "names no bucket" in refusal(house, "s3://*/a.csv")
    asked = refusal(house, f"s3://dumps/*.csv?s3_secret_access_key={SECRET}")
    assert asked.startswith("source web: s3://dumps/*.csv: a `?` cannot be matched")
    assert SECRET not in asked
    assert "neither on a local disk nor in an s3:// bucket" in refusal(house, "https://example.invalid/a.csv")
    for address in ("storage:9000", "http://[1", f"http://u:{SECRET}@storage:9000"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        said = refusal(house, PATH)
        assert said == "source web: AWS_ENDPOINT_URL must be an address such as https://storage.example:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert "the endpoint cannot be reached; check the network and AWS_ENDPOINT_URL" in refusal(house, PATH)


def test_wrong_credentials_are_told_without_showing_them(
    house: House,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage.put("web/a.csv", day(1))
    house.load(path=PATH)
    wrong = f"not-{SECRET}"
    said = []
    for name, value, code in [
        ("AWS_SECRET_ACCESS_KEY", wrong, "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "AKIDWRONG", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "", "must be set both"),
        ("AWS_ACCESS_KEY_ID", "", "AccessDenied"),
    ]:
        monkeypatch.setenv(name, value)
        said.append(refusal(house, PATH))
        assert code in said[-1]
    assert "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in said[0]
    kept = b"".join(path.read_bytes() for path in (house.root / "lake").rglob("*") if path.is_file())
    shown = "".join([*said, *capfd.readouterr(), caplog.text, repr(ObjectStore())])
    for secret in (SECRET, SECRET.replace("'", "''"), TOKEN, KEY_ID, "AKIDWRONG"):
        assert secret.encode() not in kept
        assert secret not in shown


def test_a_public_bucket_needs_no_keys(house: House, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    storage.put("a.csv", day(1), bucket="open")
    storage.public.add("open")
    assert counts(house.load(path="s3://open/*")) == {"loaded": 1, "rows": 3}


def test_without_the_extension_the_package_is_named(
    house: House, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_packaged_httpfs", lambda: None)
    monkeypatch.setenv("HOME", str(house.root))
    storage.put("web/a.csv", day(1))
    house.write("b.csv", day(2))
    said = refusal(house, PATH)
    assert said.startswith(f"source web: {PATH}: buckets are read with DuckDB's extension httpfs, which is not there")
    assert "install the Python package duckdb-extension-httpfs==" in said
    assert storage.asked == []
    assert len(house.events()) == 3


def test_the_packaged_extension_is_found() -> None:
    path = object_store._packaged_httpfs()
    assert path
    assert path.is_file()


def test_a_copy_that_could_not_be_made_is_an_unreadable_file(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    made = Bucket("web", house.root / "staging", memory_limit="1GB")
    made.find(PATH)
    del storage.buckets["dumps"]["web/a.csv"]
    assert made.look({}) == {}
    with pytest.raises(BucketError, match="no such bucket or object"):
        made.path("s3://dumps/web/a.csv")
    made.close()


def test_a_copy_that_finds_no_room_fails_alone(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    (house.root / "staging").write_text("in the way")
    made = Bucket("web", house.root / "staging", memory_limit="1GB")
    made.find(PATH)
    assert made.look({}) == {}
    assert made.failures == [
        "s3://dumps/web/a.csv: cannot be copied into the lake's directory; make room on its disk",
    ]
    made.close()


def test_a_load_killed_while_it_fetches_leaves_nothing(house: House, server: Server) -> None:
    for number in range(1, 13):
        server.storage.put(f"web/{number}.csv", day(number))
    program = (
        "import sys; from pathlib import Path; from orchestration.ingestion.lake import Lake; "
        "from tests.ingestion.conftest import source; root = Path(sys.argv[1]); "
        f"Lake(root / 'lake').load(source(path={PATH!r}), data_dir=root, memory_limit='500MB', threads=1)"
    )
    arrived, killed = threading.Event(), threading.Event()

    def hold(method: str, key: str) -> None:
        if method == "GET" and key == "web/9.csv":
            arrived.set()
            killed.wait(30)

    server.storage.before = hold
    process = subprocess.Popen([sys.executable, "-c", program, str(house.root)], cwd=PROJECT_ROOT)
    assert arrived.wait(30)
    staging = house.root / "lake" / "staging"
    deadline = time.monotonic() + 10
    while not list(staging.rglob("*.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(staging.rglob("*.csv"))
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    killed.set()
    server.storage.before = None
    assert counts(house.load(path=PATH)) == {"loaded": 12, "rows": 36}
    assert not any(staging.iterdir())


def test_the_kept_description_fits_the_catalogue(house: House, storage: Storage) -> None:
    storage.put("web/a.csv", day(1))
    house.load(path=PATH)
    ((name, file),) = house.lake._catalog.files(source().name).items()
    assert (name, file.size, file.mtime_ns) == ("s3://dumps/web/a.csv", len(day(1)), int(LONG_AGO * 10**9))
    assert not Path(name).exists()
