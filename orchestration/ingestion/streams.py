"""The bytes of one dump file: decompressed, and as UTF-8."""

import bz2
import codecs
import io
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from backports.zstd import ZstdDecompressor, ZstdError
from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor, IsalError

BLOCK = 1 << 16
"""How many bytes are read at a time; of compressed ones four times as many come out at a time. Larger blocks
go back to the system when they are freed, and fetching them anew costs more than the calls they save."""


class Stream:
    """The decompressed bytes of one file, block by block, in bounded memory.

    The compression is told by the first bytes, not by the name. A stream that ends early or is corrupt
    yields all that comes before the damage; DuckDB's own reader would take such an end for the end of the
    file and say nothing.

    Attributes:
        damage: What is wrong with the file, once the iteration has met it.
        is_packed: Whether it is compressed, once the iteration has begun.
        position: How many bytes of the file have been read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        self.is_packed = False
        self.position = 0

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            magic = file.peek(6)[:6]
            if magic.startswith(b"\x1f\x8b"):
                yield from self._members(file, lambda: IgzipDecompressor(flag=DECOMP_GZIP), "gzip")
            elif magic.startswith(b"BZh"):
                yield from self._members(file, bz2.BZ2Decompressor, "bzip2")
            elif magic.startswith(b"\xfd7zXZ\x00"):
                yield from self._members(file, lzma.LZMADecompressor, "xz")
            elif magic.startswith(b"\x28\xb5\x2f\xfd"):
                yield from self._members(file, ZstdDecompressor, "zstd")
            else:
                yield from self._read(file)

    def _read(self, file: io.BufferedReader) -> Iterator[bytes]:
        while block := file.read(BLOCK):
            self.position += len(block)
            yield block

    def _members(self, file: io.BufferedReader, new: "_NewMember", name: str) -> Iterator[bytes]:
        """Decompress one member after the other, as the format's own tools do."""
        self.is_packed = True
        member = new()
        try:
            for block in self._read(file):
                data = block
                while data or not (member.needs_input or member.eof):
                    if member.eof:
                        data = data.lstrip(b"\x00")  # tape blocks are padded with zeros
                        if not data:
                            break
                        member = new()
                    out = member.decompress(data, 4 * BLOCK)
                    data = member.unused_data if member.eof else b""
                    if out:
                        yield out
        except (IsalError, OSError, lzma.LZMAError, ZstdError) as error:  # type: ignore[misc] # stubs say it is an instance
            self.damage = f"the {name} data is corrupt ({error})"
            return
        if self.position and not member.eof:
            self.damage = f"the {name} data ends early: the file is cut off"


class _Member(Protocol):
    """What Python's incremental decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _NewMember(Protocol):
    def __call__(self) -> _Member: ...


def utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    r"""The same text in UTF-8, without a byte order mark, its lines ended by line feeds.

    A byte order mark overrides the encoding. Bytes that the encoding does not know come through as ``\xNN``;
    invalid UTF-8 is passed on as it is, for the parser to find. ``\r\n`` stays; ``\r`` alone becomes a line
    feed where the text has no other line ends.
    """
    blocks = iter(blocks)
    first = b""
    while len(first) < 4 and (more := next(blocks, b"")):
        first += more
    if first.startswith(codecs.BOM_UTF8):
        first, encoding = first[3:], "utf-8"
    elif encoding == "utf-8" and first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding != "utf-8":
        blocks = _decoded(first, blocks, encoding)
        first = next(blocks, b"")
    if b"\r" in first and b"\n" not in first:
        yield first.replace(b"\r", b"\n")
        yield from (block.replace(b"\r", b"\n") for block in blocks)
    else:
        yield first
        yield from blocks


def _decoded(first: bytes, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="backslashreplace")
    yield decoder.decode(first).encode()
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()
