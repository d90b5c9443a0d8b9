"""Every record of a CSV file is a row, and a file is refused where nobody can know what its records are."""

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest.csv_records import LINE, MALFORMED, STRAY_TEXT, TOO_MANY, opened, records
from jobs.ingest.declared_formats import FileFormat
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.text_files import read_lines

SWALLOWED = """ID,AT,AMOUNT,ITEM
1,2026-05-01,10.5,x
2,2026-05-02,10.5,"24 inch
3,2026-05-03,10.5,x
4,2026-05-04,10.5,"24 inch
5,2026-05-05,10.5,x
"""


def read(path: Path, content: bytes | str, quotes: str = "", encoding: str = "") -> pl.DataFrame:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    declared = FileFormat("orders", encoding=encoding, quotes=quotes)
    return records(opened(path, read_lines(path, declared), declared))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def test_a_stray_quote_that_swallows_records_is_refused_with_its_line_and_the_choice(path: Path) -> None:
    with pytest.raises(InputError, match=r"quote in line 3 that opens a field with 2 more lines.*quotes: text.*fields"):
        read(path, SWALLOWED)
    assert read(path, SWALLOWED, "text")["ITEM"].to_list() == ["x", '"24 inch', "x", '"24 inch', "x"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('A,B\n1,"x\n2,y\n', 2),
        ('A,B\n1,x\n2,"y', 3),
        ('A,B\n"1,x\n2,y"\n', 2),
        ('A,"B\n1,x\n2,y"\n', 1),
        ('A,B\n"1,x\n\n2,y",3\n', 2),
    ],
)
def test_a_quote_that_never_closes_or_closes_over_other_records_is_refused(path: Path, content: str, line: int) -> None:
    with pytest.raises(InputError, match=f"quote in line {line} "):
        read(path, content)


def test_fields_with_several_lines_are_one_record(path: Path) -> None:
    frame = read(path, 'A,NOTE,B\r\n1,"two\r\nlines and ""quotes""",3\r\n2,,4\r\n')
    assert frame.select("A", "NOTE", "B", LINE).rows() == [
        ("1", 'two\r\nlines and "quotes"', "3", 2),
        ("2", None, "4", 4),
    ]


def test_several_lines_that_look_like_records_are_one_if_that_is_declared(path: Path) -> None:
    content = 'A,NOTE\n1,"of Berlin,\nParis, Rome"\n2,x\n'
    with pytest.raises(InputError, match="quotes: fields"):
        read(path, content)
    assert read(path, content, "fields")["NOTE"].to_list() == ["of Berlin,\nParis, Rome", "x"]


def test_a_quote_within_a_field_is_a_character(path: Path) -> None:
    frame = read(path, 'A,SIZE,B\n1,24" inch,x\n2,5\'6",y\n3, "q",z\n')
    assert frame["SIZE"].to_list() == ['24" inch', "5'6\"", ' "q"']
    assert frame[MALFORMED].null_count() == 3


def test_records_that_are_none_are_marked_and_counted(path: Path) -> None:
    frame = read(path, 'A,B\n1,2\n1,2,3\n"1" x,2\n1\n"a,b",2,"c,d"\n"a,b",2\n')
    assert frame[MALFORMED].to_list() == [None, TOO_MANY, STRAY_TEXT, None, TOO_MANY, None]
    assert frame[LINE].to_list() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
def test_any_line_ending(path: Path, ending: str, last: str) -> None:
    lines = ["A,B", "1,2", "", '"3",4', *(["5,6"] if last else [""])]
    frame = read(path, ending.join(lines))
    assert frame.select("A", "B").rows() == [("1", "2"), ("3", "4"), *([("5", "6")] if last else [])]


def test_a_carriage_return_within_a_line_is_refused_with_its_line(path: Path) -> None:
    with pytest.raises(InputError, match="record in line 3"):
        read(path, "A,B\n1,2\n3,4\r5,6\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_a_byte_order_mark_says_is_read_compressed_or_not(path: Path, encoding: str, compressed: bool) -> None:
    content = "A,B\n1,Zoë\n2,Łódź\n".encode(encoding)
    frame = read(path, gzip.compress(content) if compressed else content)
    assert frame.select("A", "B").rows() == [("1", "Zoë"), ("2", "Łódź")]


def test_other_encodings_are_refused_with_the_line_until_they_are_declared(path: Path) -> None:
    content = "A,B\n1,x\n2,Zoë\n".encode("latin-1")
    with pytest.raises(InputError, match=r"bytes b'\\xeb\\n' in line 3; .*`orders: \{file: \{encoding: cp1252"):
        read(path, content)
    assert read(path, content, encoding="latin-1")["B"].to_list() == ["x", "Zoë"]
    wide = "A,B\n1,x\n".encode("utf-16-le")
    with pytest.raises(InputError, match="NUL character in line 1"):
        read(path, wide)
    assert read(path, wide, encoding="utf-16-le")["B"].to_list() == ["x"]


@pytest.mark.parametrize(("pack", "by"), [
    (bz2.compress, "bzip2"), (lzma.compress, "xz"), (lambda text: gzip.compress(gzip.compress(text)), "gzip once more"),
    (lambda text: b"PK\x03\x04" + text, "zip"), (lambda text: pa.compress(text, "zstd", asbytes=True), "zstd"),
])  # fmt: skip
def test_text_that_is_packed_otherwise_is_refused_by_name(path: Path, pack: Callable[[bytes], bytes], by: str) -> None:
    with pytest.raises(InputError, match=f"orders.csv: expected text, plain or by gzip, found a file packed by {by}"):
        read(path, pack(b"a,b\n1,2\n"))


def test_holes_and_files_that_are_cut_off_are_refused(path: Path) -> None:
    with pytest.raises(InputError, match="NUL character in line 3"):
        read(path, "A,B\n1,2\n" + "\0" * 100)
    whole = gzip.compress(b"A,B\n" + b"1,2\n" * 1000)
    for damaged in (whole[:-9], whole[: len(whole) // 2], whole + b"x"):
        with pytest.raises(InputError, match="expected a whole gzip file"):
            read(path, damaged)
    with pytest.raises(InputError, match="blank lines only"):
        read(path, "\n\r\n")


field = st.text(st.sampled_from('ab1 .,;"\n\té'), max_size=6)


@given(rows=st.lists(st.lists(field, min_size=3, max_size=3), max_size=8), quoting=st.sampled_from([0, 1]))
@with_examples(80)
@example(rows=[["", "", ""], ['"', ",", "a"]], quoting=0)
def test_what_a_csv_writer_wrote_is_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerows([["A", "B", "C"], *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    frame = read(path, text.getvalue(), "fields")
    assert frame.select("A", "B", "C").rows() == [tuple(f or None for f in row) for row in rows]
    assert frame[MALFORMED].null_count() == frame.height
    try:
        assert read(path, text.getvalue()).height == len(rows)
    except InputError:
        assert any("\n" in f or "\r" in f for row in rows for f in row)


quoted = st.sampled_from(["1", "x", "a b", '"', 'q"', '"q', '"q"', '""'])


@given(
    rows=st.lists(st.lists(quoted, min_size=1, max_size=5), max_size=8),
    blank=st.integers(0, 8),
)  # fmt: skip
@with_examples(120)
def test_whatever_the_quotes_every_line_is_a_row_or_the_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], blank: int
) -> None:
    lines = [",".join([*row, *["z"] * (3 - len(row))]) for row in rows]
    lines.insert(blank, "")
    path = tmp_path_factory.getbasetemp() / "strays.csv"
    content = "\n".join(["A,B,C", *lines])
    assert read(path, content, "text").height == len(rows)
    try:
        frame = read(path, content)
    except InputError:
        assert '"' in content
        return
    assert frame.height == len(rows)
    assert frame[LINE].to_list() == [n + 2 for n, line in enumerate(lines) if line]
