"""The bytes of a file, whatever it is packed in, and as UTF-8, whatever it is written in."""

import bz2
import gzip
import lzma
import threading
import time
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingestion.pipes import Pipe
from orchestration.ingestion.streams import BLOCK, Stream, utf8

ANY_FILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return bytes(out.getvalue())


PACKED = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd}


def read(path: Path) -> tuple[bytes, str | None]:
    stream = Stream(path)
    return b"".join(stream), stream.damage


@pytest.mark.parametrize("kind", PACKED)
@ANY_FILE
@given(content=st.binary(max_size=200).map(lambda content: b"x" + content), times=st.sampled_from([1, 3, 5000]))
def test_what_was_packed_is_unpacked(tmp_path: Path, kind: str, content: bytes, times: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKED[kind](content * times))
    assert read(path) == (content * times, None)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
@ANY_FILE
@given(share=st.floats(0.05, 0.98))
def test_a_cut_is_noticed_and_what_comes_before_is_kept(tmp_path: Path, kind: str, share: float) -> None:
    content = b"".join(b"%d," % (number * 7919 % 65_521) for number in range(20_000))
    packed = PACKED[kind](content)
    path = tmp_path / "file"
    path.write_bytes(packed[: max(8, int(len(packed) * share))])
    got, damage = read(path)
    assert damage
    assert content.startswith(got)


def test_memory_is_bounded_however_well_a_file_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(b"\x00" * 200_000_000, compresslevel=1))
    sizes = [len(block) for block in Stream(path)]
    assert sum(sizes) == 200_000_000
    assert max(sizes) <= 4 * BLOCK


def test_the_position_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(bytes(zlib.crc32(b"%d" % n) % 256 for n in range(500_000))))
    stream = Stream(path)
    positions = [stream.position for _ in stream]
    assert positions == sorted(positions)
    assert stream.position == path.stat().st_size


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), max_size=30)


@settings(max_examples=100, deadline=None)
@given(
    text=TEXT, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]), size=st.integers(1, 5)
)
def test_encodings_become_utf8(text: str, encoding: str, size: int) -> None:
    content = text.encode(encoding)
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    declared = "utf-8" if encoding in ("utf-8", "utf-8-sig") else encoding
    assert b"".join(utf8(pieces, declared)).decode() == text


def test_a_byte_order_mark_speaks_for_itself() -> None:
    assert b"".join(utf8(["é".encode("utf-16")], "utf-8")) == "é".encode()


def test_what_an_encoding_does_not_know_is_shown() -> None:
    assert b"".join(utf8([b"a\x81b"], "cp1252")) == b"a\\x81b"
    assert b"".join(utf8([b"a\xffb"], "utf-8")) == b"a\xffb"


def test_returns_alone_end_lines_where_nothing_else_does() -> None:
    assert b"".join(utf8([b"a\rb\r", b"c"], "utf-8")) == b"a\nb\nc"
    assert b"".join(utf8([b"a\r\nb\r"], "utf-8")) == b"a\r\nb\r"


def test_a_pipe_gives_what_it_is_fed(tmp_path: Path) -> None:
    with Pipe([b"abc" * 1000] * 5000, tmp_path / "pipe") as pipe:
        assert pipe.path.read_bytes() == b"abc" * 5_000_000
    assert pipe.error is None
    assert not (tmp_path / "pipe").exists()


@pytest.mark.parametrize("taken", [None, 0, 10])
def test_a_pipe_that_is_not_read_to_its_end_does_not_hang(tmp_path: Path, taken: int | None) -> None:
    threads = threading.active_count()
    started = time.monotonic()
    with Pipe((b"x" * 100_000 for _ in range(10_000)), tmp_path / "pipe") as pipe:
        if taken is not None:
            with pipe.path.open("rb", buffering=0) as reader:
                reader.read(taken)
    assert time.monotonic() - started < 5
    assert threading.active_count() == threads


def test_what_goes_wrong_while_feeding_is_kept(tmp_path: Path) -> None:
    def failing() -> object:
        yield b"abc"
        raise ValueError("no more")

    with Pipe(failing(), tmp_path / "pipe") as pipe:  # type: ignore[arg-type]
        assert pipe.path.read_bytes() == b"abc"
    assert str(pipe.error) == "no more"
