"""Text cut into records that a fast parser can take: one JSON document a line, strict CSV, plain lines.

Each function takes blocks of UTF-8 and gives blocks of whole records. The plain ones cost next to nothing
and leave mistakes to the parser; the careful ones look at every record and put a marked one, which says what
is wrong, in the place of each that a parser would stumble over. So a record keeps its number either way.
"""

import codecs
import csv
import io
import json
import secrets
from collections.abc import Iterable, Iterator

from orchestration.ingestion.streams import BLOCK

MAX_RECORD = 16 << 20
"""The longest record that is read, in bytes."""

# Marks begin with a Unicode noncharacter and a word that no dump can know.
_WORD = secrets.token_hex(8)
REJECTED = f"\ufdd0{_WORD}"
END = f"\ufdd1{_WORD}"

LINE_DELIMITER = "\x1f"
"""A control character that neither JSON nor a log holds: what a reader of whole lines splits them by."""

W3C_FIELDS = b"#fields:"

_DELIMITER = LINE_DELIMITER.encode()
_RAW_KEPT = 1 << 16
_QUOTED_LINES = 10_000


def marked(reason: str, raw: bytes) -> bytes:
    """A record that stands for one that cannot be parsed: the reason, and the text as far as it is text."""
    text = raw[:_RAW_KEPT].decode("utf-8", "backslashreplace").replace(LINE_DELIMITER, "\\x1f")
    cut = f"… ({len(raw):,} bytes)" if len(raw) > _RAW_KEPT else ""
    return f"{REJECTED}{reason}{REJECTED}{text}{cut}".encode()


def lines(blocks: Iterable[bytes], *, careful: bool = False) -> Iterator[bytes]:
    """Whole lines, every one ended by a line feed alone; other carriage returns become blanks.

    Lines that hold `LINE_DELIMITER` are marked; with care, those that are too long or no UTF-8 are, too.
    """
    for block in _whole_lines(blocks):
        suspect = _DELIMITER in block or (careful and (len(block) > MAX_RECORD or not _is_utf8(block)))
        yield b"\n".join([*map(_checked, block.split(b"\n")[:-1]), b""]) if suspect else block


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest.append(block)
            continue
        yield _without_returns(b"".join([*rest, block[:cut]]))
        rest = [block[cut:]] if cut < len(block) else []
    if last := b"".join(rest):
        yield _without_returns(last + b"\n")


def _without_returns(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b" ") if b"\r" in text else text


def _checked(line: bytes) -> bytes:
    if len(line) >= MAX_RECORD:
        return marked(f"the line is longer than {MAX_RECORD >> 20} MiB", line)
    if not _is_utf8(line):
        return marked("not valid UTF-8; declare its `encoding`", line)
    if _DELIMITER in line:
        return marked("the control character U+001F, which no text may hold", line)
    return line


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def w3c(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """`lines` of a W3C extended log, with its directives, which are no records, left blank.

    Raises:
        ValueError: The log's fields change on the way: what comes after would be misread.
    """
    fields = b""
    for block in lines(blocks):
        if b"#" not in block:
            yield block
            continue
        out = []
        for line in block.split(b"\n")[:-1]:
            if line.lower().startswith(W3C_FIELDS):
                names = b" ".join(line.split())
                fields = fields or names
                if names != fields:
                    raise ValueError("its `#Fields:` change on the way; split it there into two files")
            out.append(b"" if line.lstrip().startswith(b"#") else line)
        yield b"\n".join([*out, b""])


def documents(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """JSON documents that follow one another, or fill one array, as a line each, otherwise untouched."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    scan = json.JSONDecoder()
    source = iter(blocks)
    text, at, ended = "", 0, False
    in_array: bool | None = None

    def more(wanted: int) -> str:
        nonlocal ended
        parts: list[str] = []
        while not ended and wanted > 0:
            block = next(source, None)
            ended = block is None
            parts.append(decoder.decode(block or b"", final=ended))
            wanted -= len(parts[-1])
        return "".join(parts)

    while True:
        while at < len(text) and (text[at].isspace() or (in_array and text[at] in ",]")):
            at += 1
        if at == len(text):
            if ended:
                return
            text, at = more(1), 0
            continue
        if in_array is None:
            in_array = text[at] == "["
            if in_array:
                at += 1
                continue
        try:
            _, end = scan.raw_decode(text, at)
            whole = end < len(text) or ended or text[end - 1] in '}]"'
        except (json.JSONDecodeError, RecursionError) as error:
            end = max(getattr(error, "pos", at), at)
            whole = False
        if whole:
            yield _one_line(text[at:end])
            at = end
            continue
        # Either the document goes on in later blocks or it is broken: double what is at hand to find out.
        if not ended and len(text) - at < MAX_RECORD:
            text, at = text[at:] + more(max(len(text) - at, BLOCK)), 0
            continue
        newline = text.find("\n", end)
        stop = newline if newline >= 0 else len(text)
        yield marked("not valid JSON, or nested too deeply", _one_line(text[at:stop])[:-1]) + b"\n"
        at = stop


def _one_line(document: str) -> bytes:
    # Inside a JSON string a line end is written \n, so a bare one is a blank between tokens.
    return document.replace("\r", " ").replace("\n", " ").encode() + b"\n"


def careful_records(blocks: Iterable[bytes], *, width: int, delimiter: str, quote: str, escape: str) -> Iterator[bytes]:
    """CSV records in one strict dialect, comma and doubled quotes, with the broken ones marked.

    A quote that is left open costs the line it is on: the lines it swallowed are read again as records.

    Args:
        blocks: The text after its header.
        width: How many fields a record has. One empty field more is taken for a delimiter at the line's end.
        delimiter: What stands between fields.
        quote: What fields are quoted with; empty when nothing is.
        escape: What stands before a quote within quotes; the quote itself when it is doubled.
    """
    csv.field_size_limit(MAX_RECORD)
    source = _PhysicalLines(blocks)
    reader = csv.reader(
        source,
        strict=True,
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape if escape != quote else None,
        doublequote=escape == quote,
    )
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    while True:
        source.taken.clear()
        reason = None
        record: list[str] | None = []
        try:
            record = next(reader, None)
        except csv.Error as error:
            reason = f"not valid CSV: {error}"
        if record is None:
            break
        if reason is None:
            if not record:
                if width > 1:
                    continue  # a blank line is no record
                record = [""]
            if len(record) == width + 1 and not record[-1]:
                record.pop()
            if len(record) != width:
                reason = f"expected {width} fields, found {len(record)}"
            elif any(_holds_bad_bytes(field) for field in record):
                reason = "not valid UTF-8; declare its `encoding`"
            elif sum(map(len, source.taken)) >= MAX_RECORD:
                reason = f"the record is longer than {MAX_RECORD >> 20} MiB"
        if reason is not None:
            raw = source.taken[0].rstrip("\r\n").encode("utf-8", "surrogateescape")
            source.put_back_all_but_first()
            record = [marked(reason, raw).decode(), *[""] * (width - 1)]
        writer.writerow(record)
        if out.tell() > BLOCK:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _holds_bad_bytes(field: str) -> bool:
    return not field.isascii() and any("\udc80" <= character <= "\udcff" for character in field)


class _PhysicalLines:
    """Lines as `csv.reader` takes them, with the possibility to put some back.

    Bytes that are no UTF-8 come as lone surrogates. `taken` holds the lines handed out since it was cleared.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._waiting: list[str] = []
        self._rest = b""
        self.taken: list[str] = []

    def __iter__(self) -> "_PhysicalLines":
        return self

    def __next__(self) -> str:
        if len(self.taken) > _QUOTED_LINES:
            raise csv.Error(f"a quote is left open for more than {_QUOTED_LINES:,} lines")
        while not self._waiting:
            block = next(self._blocks, None)
            if block is None:
                if not self._rest:
                    raise StopIteration
                self._waiting = [self._rest.decode("utf-8", "surrogateescape")]
                self._rest = b""
            else:
                *whole, self._rest = (self._rest + block).split(b"\n")
                self._waiting = [f"{line.decode('utf-8', 'surrogateescape')}\n" for line in reversed(whole)]
        self.taken.append(self._waiting.pop())
        return self.taken[-1]

    def put_back_all_but_first(self) -> None:
        self._waiting.extend(reversed(self.taken[1:]))
        del self.taken[1:]


def skip(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The same bytes without the first `count`."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def ended(blocks: Iterable[bytes], end: bytes, newline: bytes) -> Iterator[bytes]:
    """The same records with a last one added. Seeing it is the reader's proof that it has parsed the others.

    DuckDB's CSV reader drops the rest of a file, without an error, after a quote that is never closed.
    """
    complete = True
    for block in blocks:
        if block:
            yield block
            complete = block.endswith(b"\n")
    yield end if complete else newline + end
