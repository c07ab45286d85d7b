"""A file that is cut off, corrupt, or not what its name says gives what can be had of it, or says why not."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pytest

from orchestration.ingestion.faults import UnreadableFileError
from tests.ingestion.conftest import Bench, House
from tests.ingestion.test_hostile import GOOD, HEADER, kept


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return bytes(out.getvalue())


MANY = b"".join(b"2020-01-01 00:00:00,view,u%d,%d\n" % (i * 7919 % 10_007, i) for i in range(5000))
COMPRESSIONS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_compressed_file_that_is_cut_off_gives_what_it_holds_and_says_so(bench: Bench, suffix: str) -> None:
    whole = COMPRESSIONS[suffix](HEADER + MANY)
    outcome = bench.load(f"a.csv.{suffix}", whole)
    assert outcome.loaded.rows == 5000
    assert not outcome.loaded.warnings
    # Of a zstd block, 128 KiB of content, nothing can be had until it is whole; 70 % of this file hold none.
    for share in (0.99,) if suffix == "zst" else (0.99, 0.7):
        cut = whole[: int(len(whole) * share)]
        if suffix == "bz2":  # it gives nothing of a block that is not whole
            with pytest.raises(UnreadableFileError, match="cut off"):
                bench.load(f"a.csv.{suffix}", cut)
            continue
        outcome = bench.load(f"a.csv.{suffix}", cut)
        assert 0 < outcome.loaded.rows < 5000
        assert [event["dump_row"] for event in outcome.events] == list(range(1, outcome.loaded.rows + 1))
        assert "cut off" in outcome.loaded.warnings[0]
        assert "cut off" in outcome.reasons[-1]


def test_a_corrupt_file_is_told_from_one_that_ends(bench: Bench) -> None:
    whole = gzip.compress(HEADER + MANY * 10)
    corrupt = whole[: len(whole) // 2] + b"\x00\xff\x00" + whole[len(whole) // 2 + 3 :]
    outcome = bench.load("a.csv.gz", corrupt)
    assert 0 < outcome.loaded.rows < 50_000
    assert "corrupt" in outcome.reasons[-1]


def test_members_and_padding_are_one_file_and_garbage_is_not(bench: Bench) -> None:
    two = gzip.compress(HEADER + GOOD) + gzip.compress(GOOD)
    assert kept(bench, two, "a.csv.gz") == ([1, 2], [])
    assert kept(bench, two + b"\x00" * 512, "a.csv.gz") == ([1, 2], [])
    assert kept(bench, two + b"garbage", "a.csv.gz") == ([1, 2], [3])


def test_compression_is_told_by_the_content(bench: Bench) -> None:
    assert kept(bench, gzip.compress(HEADER + GOOD), "a.csv") == ([1], [])
    assert kept(bench, HEADER + GOOD, "a.csv.gz") == ([1], [])


@pytest.mark.parametrize("content", [b"\x1f\x8bgarbage", b"\x28\xb5\x2f\xfdgarbage", b"BZhgarbage"])
def test_a_file_of_which_nothing_can_be_read_is_an_error(bench: Bench, content: bytes) -> None:
    with pytest.raises(UnreadableFileError, match="fetch the file again"):
        bench.load("a.csv", content)


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", content)
    return out.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.zip", {}), ("a.zip", {"format": "jsonl"}), ("a.csv", {}), ("a.csv", {"encoding": "latin-1"}), ("a.xlsx", {})],
)
def test_a_zip_archive_is_told_from_a_dump(bench: Bench, name: str, options: dict[str, object]) -> None:
    with pytest.raises(UnreadableFileError, match="a zip archive, or an Excel workbook; unpack"):
        bench.load(name, zipped(HEADER + GOOD), **options)


@pytest.mark.parametrize("form", ["csv", "jsonl", "text"])
def test_a_tar_archive_is_told_from_a_dump(bench: Bench, form: str) -> None:
    with pytest.raises(UnreadableFileError, match="a tar archive; unpack it"):
        bench.load("a.tar.gz", tarred(HEADER + GOOD), format=form)


@pytest.mark.parametrize("options", [{}, {"columns": {}}])
def test_json_that_is_neither_compressed_as_its_name_says_nor_json_is_an_error(
    bench: Bench, options: dict[str, object]
) -> None:
    with pytest.raises(UnreadableFileError, match="not compressed, as its name says"):
        bench.load("a.jsonl.gz", b"this is no gzip file", **options)
    plain = bench.load("b.jsonl.gz", b'{"ts": "2020-01-01", "ev": "v", "u": "u1"}\nwhat\n')
    assert (plain.loaded.rows, plain.reasons) == (1, ["not valid JSON"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "utf-8"])
def test_encodings(bench: Bench, encoding: str) -> None:
    text = "ts,ev,u\n2020-01-01,visão,ç\n"
    detected = encoding in ("utf-8", "utf-8-sig", "utf-16")
    options = {} if detected else {"encoding": encoding}
    outcome = bench.load("a.csv", text.encode(encoding), **options)
    assert [(event["event_name"], event["user_id"]) for event in outcome.events] == [("visão", "ç")]


def test_a_directory_named_like_a_dump_is_left_out(house: House) -> None:
    house.write("a.csv", HEADER + GOOD)
    (house.root / "landing" / "b.csv").mkdir()
    report = house.load()
    assert (report.rows, report.failures) == (1, ())
    assert "b.csv is a directory" in report.warnings[0]


def test_one_unreadable_file_does_not_stop_the_others(house: House) -> None:
    house.write("a.csv", HEADER + GOOD)
    house.write("b.csv.gz", b"\x1f\x8bgarbage")
    house.write("c.csv", HEADER + GOOD * 2)
    report = house.load()
    assert report.rows == 3
    assert len(report.failures) == 1
    assert "b.csv.gz" in report.failures[0]
