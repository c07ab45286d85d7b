"""Text cut into records: no byte more or less than Python's own csv and json find in it."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingestion import records

CUTS = st.integers(1, 7)


def blocks(content: bytes, size: int) -> Iterator[bytes]:
    """The same bytes in blocks of some size: how they are cut must not matter."""
    return (content[start : start + size] for start in range(0, len(content), size))


def joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\r", b" ", b"\xc3\xa9"]), max_size=30).map(b"".join), CUTS)
def test_lines_are_the_texts_lines(content: bytes, size: int) -> None:
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    expected = whole.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    assert joined(records.lines(blocks(content, size))) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=8), CUTS)
def test_careful_lines_are_as_many_and_all_are_text(pieces: list[bytes], size: int) -> None:
    content = b"\n".join(piece.replace(b"\n", b"") for piece in pieces)
    plain = joined(records.lines(blocks(content, 1000))).split(b"\n")
    careful = joined(records.lines(blocks(content, size), careful=True)).decode().split("\n")
    assert len(plain) == len(careful)
    for before, after in zip(plain, careful, strict=True):
        if not after.startswith(records.REJECTED):
            assert after.encode() == before


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(FIELD, min_size=width, max_size=width), min_size=1, max_size=8)
)


def rewritten(content: bytes, width: int, size: int = 1000, **dialect: str) -> list[list[str]]:
    options = {"delimiter": ",", "quote": '"', "escape": '"', **dialect}
    text = joined(records.careful_records(blocks(content, size), width=width, **options)).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@settings(max_examples=250, deadline=None)
@given(TABLES, CUTS, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_well_written_csv_comes_through_unchanged(
    table: list[list[str]], size: int, delimiter: str, newline: str
) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, delimiter=delimiter, lineterminator=newline).writerows(table)
    got = rewritten(out.getvalue().encode(), len(table[0]), size, delimiter=delimiter)
    assert got == table


@settings(max_examples=250, deadline=None)
@given(st.text(st.sampled_from('ab,"\n'), max_size=40), CUTS)
def test_any_text_becomes_records_of_one_width_and_keeps_its_letters(text: str, size: int) -> None:
    got = rewritten(text.encode(), 3, size)
    assert all(len(record) == 3 for record in got)
    assert got == rewritten(text.encode(), 3)
    letters = "".join(field.split(records.REJECTED)[-1] for record in got for field in record)
    assert sorted(letters.replace('"', "").replace(",", "").replace("\n", "")) == sorted(
        text.replace('"', "").replace(",", "").replace("\n", "")
    )


def test_an_open_quote_costs_its_own_line_only() -> None:
    got = rewritten(b'1,"a\n2,b\n3,c\n', 2)
    assert [record[0].split(records.REJECTED)[-1] for record in got] == ['1,"a', "2", "3"]
    assert rewritten(b'1,"a\nb"\n2,c\n', 2) == [["1", "a\nb"], ["2", "c"]]


def test_an_open_quote_is_not_sought_for_ever() -> None:
    lines = b"".join(b"%d,x\n" % number for number in range(30_000))
    got = rewritten(b'0,"x\n' + lines, 2)
    assert len(got) == 30_001
    assert "left open for more than 10,000 lines" in got[0][0]


DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
).map(lambda value: {"value": value})


@settings(max_examples=250, deadline=None)
@given(st.lists(DOCUMENTS, max_size=6), st.sampled_from([None, 2]), st.booleans(), st.integers(1, 40), st.booleans())
def test_documents_are_jsons(
    documents: list[object], indent: int | None, in_array: bool, size: int, ascii_only: bool
) -> None:
    texts = [json.dumps(document, indent=indent, ensure_ascii=ascii_only) for document in documents]
    text = f"[{', '.join(texts)}]" if in_array else "\n".join(texts)
    lines = joined(records.documents(blocks(text.encode("utf-8", "surrogatepass"), size))).splitlines()
    assert [json.loads(line) for line in lines] == documents


@settings(max_examples=250, deadline=None)
@given(st.text(st.sampled_from('{}[]",:1a \n'), max_size=30), st.integers(1, 10))
def test_any_text_as_documents_is_kept_or_marked(text: str, size: int) -> None:
    out = joined(records.documents(blocks(text.encode(), size))).decode()
    for line in out.split("\n")[:-1]:
        if not line.startswith(records.REJECTED):
            json.loads(line)
    assert sorted(c for c in text if c in "1a") == sorted(
        c for line in out.split("\n") for c in line.split(records.REJECTED)[-1] if c in "1a"
    )


def test_a_document_longer_than_a_block_is_one_line() -> None:
    long = {"x": "y" * 1_000_000}
    text = json.dumps([long, {"z": 1}], indent=1).encode()
    lines = joined(records.documents(blocks(text, 65_536))).splitlines()
    assert [json.loads(line) for line in lines] == [long, {"z": 1}]


def test_w3c_directives_are_no_records() -> None:
    log = b"#Version: 1.0\n#Fields: a b\n1 2\n#Date: x\n3 4\n#Fields: a  b\n5 6\n"
    assert joined(records.w3c([log])) == b"\n\n1 2\n\n3 4\n\n5 6\n"
    with pytest.raises(ValueError, match="`#Fields:` change on the way"):
        joined(records.w3c([log + b"#Fields: b a\n"]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 40), CUTS)
def test_skipping(content: bytes, count: int, size: int) -> None:
    assert joined(records.skip(blocks(content, size), count)) == content[count:]


@pytest.mark.parametrize("content", [b"", b"a\n", b"a"])
def test_an_end_stands_on_a_line_of_its_own(content: bytes) -> None:
    out = joined(records.ended([content], b"END\n", b"\n"))
    assert out.endswith(b"END\n")
    assert out[: -len(b"END\n")].rstrip(b"\n") == content.rstrip(b"\n")
    assert b"aEND" not in out


def test_marks_are_cut_to_a_bearable_size() -> None:
    mark = records.marked("too long", b"x" * 1_000_000).decode()
    assert mark.endswith("… (1,000,000 bytes)")
    assert len(mark) < 70_000
