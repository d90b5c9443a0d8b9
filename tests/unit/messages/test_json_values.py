"""Messages in JSON: each is the row that it would be in a file, or says why it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from worlds.made_messages import decoded, faults

from jobs.errors import Invalid
from jobs.ingest.json_objects import NAME_TWICE, NO_OBJECT
from jobs.ingest.readers import open_file, read_file
from jobs.messages.formats import decoder
from jobs.messages.json_values import MOST_NAMES, NO_TEXT, TOMBSTONE

JSON = decoder("json")
NO_RECORDS = {
    None: TOMBSTONE, b"": NO_OBJECT, b" \n": NO_OBJECT, b"[1]": NO_OBJECT, b"1": NO_OBJECT, b"null": NO_OBJECT,
    b'{"a": 1} {"a": 2}': NO_OBJECT, b'{"a": 1': NO_OBJECT, b'{"a": 01}': NO_OBJECT, b'{"a": "\n"}': NO_OBJECT,
    rb'{"a": "\ud800"}': NO_OBJECT, b'\xef\xbb\xbf{"a": 1}': NO_OBJECT, b'{"a": 1, "a": 2}': NAME_TWICE,
    b'{"a": "\xff"}': NO_TEXT, b'{"a": "\xed\xa0\x80"}': NO_TEXT, '{"a": 1}'.encode("utf-16"): NO_TEXT,
}  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@pytest.mark.parametrize("around", [(), (b'{"a": "1", "b": 2}',)])
def test_a_message_that_is_no_record_says_why_and_stays_in_its_place(around: tuple[bytes, ...]) -> None:
    found = decoded(JSON, *around, *NO_RECORDS, *around)
    assert faults(found) == [*(None for _ in around), *NO_RECORDS.values(), *(None for _ in around)]
    good = found.records.filter(found.records["_malformed"].is_null()).drop("_line", "_malformed")
    assert good.rows() == [("1", "2") for _ in 2 * around]
    assert set(found.schemas) | set(found.changes) == {None}


def test_no_message_and_no_value_are_no_fault() -> None:
    assert decoded(JSON).records.height == 0
    assert faults(decoded(JSON, b"{}")) == [None]


def test_numbers_and_what_is_nested_keep_their_digits() -> None:
    value = b'{\n"a": 9007199254740993, "b": 1.50, "c": -0.0, "d": NaN, "e": {"x": [1.50, null, true]}, "f": 1e400}'
    found = decoded(JSON, value).records.row(0, named=True)
    exact = {"a": "9007199254740993", "b": "1.50", "c": "-0.0", "d": "NaN", "f": "1e400"}
    assert found == {**exact, "e": '{"x": ["1.50", null, true]}', "_line": 1, "_malformed": None}


@given(st.lists(st.dictionaries(st.sampled_from('abé"'), VALUES), max_size=6), st.booleans())
def test_whatever_a_program_sent_is_read_back(records: list[dict[str, Any]], escaped: bool) -> None:
    values = [json.dumps(record, ensure_ascii=escaped).encode("utf-8", "surrogatepass") for record in records]
    found = decoded(JSON, *values)
    for record, row in zip(records, found.records.iter_rows(named=True), strict=True):
        assert row["_malformed"] is None
        assert {name: row[name] for name in record} == {name: as_text(value) for name, value in record.items()}


def as_text(value: Any) -> str | None:
    return (value or None) if isinstance(value, str | None) else json.dumps(value)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), min_size=1, max_size=6))
def test_a_topic_says_what_a_file_says(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    file = open_file(path)
    found = decoded(JSON, *path.read_bytes().split(b"\n")).records
    assert_frame_equal(found, read_file(file, file.columns), check_column_order=False)


@given(st.lists(st.none() | st.binary() | st.text('{}[]":, 1e.-\\untrfalse\n').map(str.encode), max_size=6))
def test_whatever_bytes_there_are_nothing_is_raised_and_none_is_lost(values: list[bytes | None]) -> None:
    decoded(JSON, *values)


def test_brackets_without_end_are_no_record_at_any_depth() -> None:
    values = [b'{"a":' + b"[" * depth + b"]" * depth + b"}" for depth in (*range(800, 1000), 100_000)]
    reasons = faults(decoded(JSON, *values))
    first = reasons.index(NO_OBJECT)
    assert first > 0 and set(reasons[first:]) == {NO_OBJECT}


@pytest.mark.parametrize("form", ["json", "debezium"])
def test_names_that_a_producer_makes_up_cost_neither_columns_nor_messages(form: str) -> None:
    records = [{"a": n, **{f"{n}-{m}": m for m in range(20)}} for n in range(300)]
    rows = [json.dumps(record) for record in records]
    values = [(row if form == "json" else f'{{"op": "c", "after": {row}}}').encode() for row in rows]
    found = decoded(decoder(form), *values).records
    assert found["a"].to_list() == [str(n) for n in range(300)] and MOST_NAMES <= found.width <= MOST_NAMES + 50


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(Invalid, match=r"format: expected one of .*json.*, found 'xml'; correct EVERGREEN_STREAM"):
        decoder("xml")


def test_a_file_with_brackets_without_end_has_that_line_as_no_record(tmp_path: Path) -> None:
    deep = (f'{{"a": {"[" * depth}{"]" * depth}}}' for depth in range(800, 1000))
    (tmp_path / "a.jsonl").write_text("\n".join(['{"a": 1}', *deep]))
    file = open_file(tmp_path / "a.jsonl")
    assert 0 < read_file(file, file.columns)["_malformed"].null_count() < 201
