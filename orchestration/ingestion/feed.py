"""A dump's bytes on their way to the parser: decompressed, in UTF-8, through a named pipe."""

import bz2
import codecs
import csv
import io
import json
import lzma
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pyarrow as pa

# Unicode noncharacters: no text uses them, so they can mark records among real ones.
REJECTED = "\ufdd0"
END = "\ufdd1"

BLOCK = 1 << 18
MAX_LINE = 16 << 20


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class Stream:
    """The decompressed bytes of one file, block by block.

    The compression is told by the first bytes, not by the name. A stream that ends early or is corrupt
    yields everything before the damage; `damage` then says what is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            magic = file.peek(6)[:6]
            if magic.startswith(b"\x1f\x8b"):
                yield from self._members(file, lambda: zlib.decompressobj(31), "gzip")
            elif magic.startswith(b"BZh"):
                yield from self._members(file, bz2.BZ2Decompressor, "bzip2")
            elif magic.startswith(b"\xfd7zXZ\x00"):
                yield from self._members(file, lzma.LZMADecompressor, "xz")
            elif magic.startswith(b"\x28\xb5\x2f\xfd"):
                yield from self._zstd(file)
            else:
                while block := file.read(BLOCK):
                    yield block

    def _members(
        self, file: io.BufferedReader, new: Callable[[], _Decompressor], name: str
    ) -> Iterator[bytes]:
        """Decompress one member after the other, as the format's own tools do."""
        member = new()
        started = False
        try:
            while data := file.read(BLOCK):
                while data:
                    if member.eof:
                        data = data.lstrip(b"\x00")  # tape blocks are padded with zeros
                        if not data:
                            break
                        member = new()
                    started = True
                    out = member.decompress(data)
                    data = member.unused_data if member.eof else b""
                    if out:
                        yield out
        except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
            self.damage = f"the {name} data is corrupt ({error})"
            return
        if started and not member.eof:
            self.damage = f"the {name} data ends early: the file is cut off"

    def _zstd(self, file: io.BufferedReader) -> Iterator[bytes]:
        try:
            with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
                while block := stream.read(BLOCK):
                    yield block
        except OSError as error:
            self.damage = f"the zstd data is cut off or corrupt ({error})"


def utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8, without a byte order mark.

    Bytes that the declared encoding cannot hold come through as ``\\xNN``; invalid UTF-8 is passed on
    as it is, for the parser to find.
    """
    blocks = iter(blocks)
    first = next(blocks, b"")
    while len(first) < 4 and (more := next(blocks, b"")):
        first += more
    if first.startswith(codecs.BOM_UTF8):
        first, encoding = first[3:], "utf-8"
    elif encoding == "utf-8" and first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding == "utf-8":
        yield first
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="backslashreplace")
    yield decoder.decode(first).encode()
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same lines, every one ended by a line feed, in blocks of whole lines; other returns are blanks."""
    rest: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest.append(block)
            continue
        whole = b"".join([*rest, block[:cut]])
        rest = [block[cut:]] if cut < len(block) else []
        yield _returns_gone(whole)
    if last := b"".join(rest):
        yield _returns_gone(last + b"\n")


def _returns_gone(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b" ") if b"\r" in text else text


def careful_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, with those a parser would stumble over replaced by a marked one that says why."""
    for block in blocks:
        try:
            block.decode()
            valid = True
        except UnicodeDecodeError:
            valid = False
        if valid and len(block) <= MAX_LINE:
            yield block
            continue
        out = []
        for line in block.split(b"\n")[:-1]:
            if len(line) >= MAX_LINE:
                out.append(marked(f"the line is longer than {MAX_LINE >> 20} MiB", line[:65536]))
                continue
            try:
                line.decode()
                out.append(line)
            except UnicodeDecodeError as error:
                out.append(marked(f"not valid UTF-8 (byte {error.start + 1})", line))
        yield b"\n".join([*out, b""])


def marked(reason: str, raw: bytes) -> bytes:
    """A line that stands for a record that cannot be parsed."""
    return f"{REJECTED}{reason}{REJECTED}{raw.decode('utf-8', 'backslashreplace')}".encode()


def documents(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """JSON documents that follow one another or fill one array, as one line each, otherwise untouched."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    scan = json.JSONDecoder()
    source = iter(blocks)
    text, at, ended, in_array = "", 0, False, None
    while True:
        while True:  # skip what may stand between two documents
            while at < len(text) and (text[at].isspace() or (in_array and text[at] in ",]")):
                at += 1
            if in_array is None and at < len(text):
                in_array = text[at] == "["
                at += in_array
                continue
            if at < len(text) or ended:
                break
            text, at = "", 0
            block = next(source, None)
            ended = block is None
            text = decoder.decode(block or b"", final=ended)
        if at >= len(text):
            return
        try:
            _, end = scan.raw_decode(text, at)
            complete = end < len(text) or text[end - 1] in '}]"' or ended
        except (json.JSONDecodeError, RecursionError) as error:
            end = getattr(error, "pos", at)
            complete = False
        if complete:
            yield text[at:end].replace("\r", " ").replace("\n", " ").encode() + b"\n"
            at = end
            continue
        # Either the document goes on in later blocks, or it is broken. Double what is at hand to find out.
        want = max(len(text) - at, BLOCK)
        more = []
        while not ended and want > 0:
            block = next(source, None)
            ended = block is None
            more.append(decoder.decode(block or b"", final=ended))
            want -= len(more[-1])
        if any(more):
            text, at = text[at:] + "".join(more), 0
            if len(text) < MAX_LINE:
                continue
        broken = text.find("\n", max(end, at))
        stop = len(text) if broken < 0 else broken
        raw = text[at:stop].replace("\r", " ").replace("\n", " ").encode()
        yield marked("not valid JSON", raw) + b"\n"
        at = stop


class _Lines:
    """Physical lines as text, with the possibility to put some back. Bad bytes survive as surrogates."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._waiting: list[str] = []
        self._rest = b""
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        while not self._waiting:
            block = next(self._blocks, None)
            if block is None:
                if not self._rest:
                    raise StopIteration
                block, self._rest = self._rest, b""
                self._waiting = [block.decode("utf-8", "surrogateescape")]
                break
            *whole, self._rest = (self._rest + block).split(b"\n")
            self._waiting = [line.decode("utf-8", "surrogateescape") + "\n" for line in reversed(whole)]
        self.taken.append(self._waiting.pop())
        return self.taken[-1]

    def put_back_all_but_first(self) -> None:
        self._waiting.extend(reversed(self.taken[1:]))
        del self.taken[1:]


def careful_records(
    blocks: Iterable[bytes], *, width: int, delimiter: str, quote: str, escape: str | None
) -> Iterator[bytes]:
    """CSV records rewritten in one strict dialect; broken ones as a marked record that says why.

    A quote left open costs its own line only: the lines it swallowed are read again as records.
    """
    csv.field_size_limit(MAX_LINE // 16)
    source = _Lines(blocks)
    reader = csv.reader(
        source,
        strict=True,
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape if escape != quote else None,
        doublequote=escape in (None, quote),
    )
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    while True:
        source.taken.clear()
        reason = None
        try:
            record = next(reader, None)
        except csv.Error as error:
            record, reason = [], f"not valid CSV: {error}"
        if record is None:
            break
        if not record and reason is None:
            if width > 1:
                continue  # a blank line is no record
            record = [""]
        if reason is None and len(record) != width:
            reason = f"expected {width} fields, found {len(record)}"
        if reason is None and any(
            "\udc80" <= c <= "\udcff" for field in record for c in field if c > "\ud7ff"
        ):
            reason = "not valid UTF-8"
        if reason is not None:
            source.put_back_all_but_first()
            raw = source.taken[0].rstrip("\r\n").encode("utf-8", "surrogateescape")
            record = [marked(reason, raw).decode(), *[""] * (width - 1)]
        writer.writerow(record)
        if out.tell() > BLOCK:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def skip(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The same bytes without the first `count`."""
    for block in blocks:
        if count >= len(block):
            count -= len(block)
        else:
            yield block[count:]
            count = 0


def ended(blocks: Iterable[bytes], end: bytes, newline: bytes) -> Iterator[bytes]:
    """The same bytes with a last line added, which proves to the reader that all before it was parsed."""
    last = b"\n"
    for block in blocks:
        if block:
            yield block
            last = block[-1:]
    yield end if last == b"\n" else newline + end


class Pipe:
    """A named pipe through which a thread of its own feeds bytes to whoever opens `path`.

    Used as a context manager; leaving it ends the thread, read to the end or not. `error` holds what
    went wrong while feeding.
    """

    def __init__(self, blocks: Iterable[bytes], path: Path) -> None:
        self.path = path
        self.error: BaseException | None = None
        self._blocks = blocks
        self._thread = threading.Thread(target=self._feed, name=f"feed {path.name}", daemon=True)

    def __enter__(self) -> "Pipe":
        os.mkfifo(self.path, mode=0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drain = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while self._thread.is_alive():
                self._stop = True
                try:
                    os.read(drain, BLOCK)
                except BlockingIOError:
                    pass
                self._thread.join(0.001)
        finally:
            os.close(drain)
            self.path.unlink()

    _stop = False

    def _feed(self) -> None:
        try:
            with self.path.open("wb", buffering=0) as pipe:
                for block in self._blocks:
                    view = memoryview(block)
                    while view and not self._stop:
                        view = view[pipe.write(view) :]
                    if self._stop:
                        return
        except BrokenPipeError:
            pass  # the reader has stopped early and says why itself
        except BaseException as error:
            self.error = error
