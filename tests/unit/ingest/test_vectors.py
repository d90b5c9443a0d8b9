"""Vectors and coded categories as files have them: one form in every format, and damaged ones named with their row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Invalid
from jobs.ingest import contracts, inspection, vectors
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import REASONS
from jobs.ingest.registered_inputs import InputError
from jobs.use_case import Column, Source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AT = datetime(2026, 5, 1, tzinfo=UTC)
SOURCE = Source(
    name="parcels",
    key=("parcel_id",),
    event_time="sent_at",
    columns=(
        Column("parcel_id", "identifier"),
        Column("sent_at", "timestamp"),
        Column("words", "vector", nullable=True, length=3),
        Column("carrier", "category", nullable=True),
    ),
)
WORDS: list[Any] = [[0.5, -2.0, 1e-7], None, [3, 4, 5]]
CARRIERS = [7, None, 12]
STORED = ["[0.5,-2.0,1e-7]", None, "[3.0,4.0,5.0]"]


def judged(path: Path) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Good rows, and the reasons of each bad one."""
    inspected = inspection.inspect(SOURCE, [path], ColumnsFile(), {})
    assert inspected.problems == ()
    frame = read_batch(SOURCE, inspected, ColumnsFile(), {}, NOW).frame
    good, bad, _ = contracts.split(frame, contracts.row_checks(SOURCE, frame.columns, "UTC", NOW))
    return good, dict(zip(bad["parcel_id"].cast(pl.String).to_list(), bad[REASONS].to_list(), strict=True))


def written(folder: Path, ending: str, words: list[Any], carriers: list[Any]) -> Path:
    path, ids, times = folder / f"parcels.{ending}", range(len(words)), [AT.isoformat()] * len(words)
    if ending == "csv":
        texts = [None if each is None else json.dumps(each) for each in words]
        columns = {"PARCEL_ID": ids, "SENT_AT": times, "WORDS": texts, "CARRIER": carriers}
        pl.DataFrame(columns, strict=False).write_csv(path)
    elif ending == "jsonl":
        rows = zip(ids, times, words, carriers, strict=True)
        names = ("PARCEL_ID", "SENT_AT", "WORDS", "CARRIER")
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_texts_of_lists_and_codes_have_one_form(tmp_path: Path, ending: str) -> None:
    good, bad = judged(written(tmp_path, ending, WORDS, CARRIERS))
    assert bad == {} and good["words"].to_list() == STORED and good["carrier"].to_list() == ["7", None, "12"]


@pytest.mark.parametrize("kind", [
    pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 3), pa.list_(pa.float16()),
])  # fmt: skip
@pytest.mark.parametrize("codes", [pa.int16(), pa.float64(), pa.string(), pa.dictionary(pa.int8(), pa.string())])
def test_columns_of_lists_and_codes_have_the_same_form(tmp_path: Path, kind: pa.DataType, codes: pa.DataType) -> None:
    words = [None if each is None else np.array(each, np.float16 if "half" in str(kind) else float) for each in WORDS]
    carriers = pa.array(["7", None, "12"]).cast(codes)
    columns = {"PARCEL_ID": [0, 1, 2], "SENT_AT": [AT] * 3, "WORDS": pa.array(words, kind), "CARRIER": carriers}
    pq.write_table(pa.table(columns), tmp_path / "parcels.parquet")
    if pa.types.is_fixed_size_list(kind):  # of which Arrow reads none with a null
        with pytest.raises(InputError, match="a list of any size"):
            judged(tmp_path / "parcels.parquet")
        return
    good, bad = judged(tmp_path / "parcels.parquet")
    assert bad == {} and good["carrier"].to_list() == ["7", None, "12"]
    found = [None if text is None else json.loads(text) for text in good["words"]]
    assert found[1] is None and [found[0], found[2]] == [pytest.approx(WORDS[0], rel=0.3), WORDS[2]]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_vector_of_another_length_or_with_a_hole_is_quarantined(tmp_path: Path, ending: str) -> None:
    words: list[Any] = [[1.0, 2.0, 3.0], [1.0, 2.0], [], [1.0, None, 3.0], [1.0, float("nan"), 3.0], [1e39, 1.0, 1.0]]
    path = written(tmp_path, ending, words, ["a"] * len(words))
    if ending == "parquet":
        columns = {"PARCEL_ID": range(6), "SENT_AT": [AT] * 6, "WORDS": words, "CARRIER": ["a"] * 6}
        pl.DataFrame(columns).write_parquet(path)
    good, bad = judged(path)
    assert good["parcel_id"].to_list() == [0]
    of_length, no_number = "words: expected 3 floats, found {}", "words: an element is NaN, infinite or no number"
    assert bad == {
        "1": [of_length.format(2)], "2": [of_length.format(0)], "3": [no_number], "4": [no_number], "5": [no_number],
    }  # fmt: skip


def test_lists_of_a_fixed_size_are_vectors_too(tmp_path: Path) -> None:
    words = pa.array([[0.5, -2.0, 1.0]], pa.list_(pa.float32(), 3))
    columns = {"PARCEL_ID": [1], "SENT_AT": [AT], "WORDS": words, "CARRIER": ["a"]}
    pq.write_table(pa.table(columns), tmp_path / "parcels.parquet")
    assert judged(tmp_path / "parcels.parquet")[0]["words"].to_list() == ["[0.5,-2.0,1.0]"]


def test_what_is_no_list_is_quarantined_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "parcels.csv"
    path.write_text(
        f'PARCEL_ID,SENT_AT,WORDS,CARRIER\n1,{AT.isoformat()},"1,2,3",a\n2,{AT.isoformat()},"[[1,2],3]",a\n'
    )
    assert judged(path)[1] == {"1": ["words: no vector"], "2": ["words: no vector"]}
    columns = {"PARCEL_ID": [1], "SENT_AT": [AT], "WORDS": [1.5], "CARRIER": ["a"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "p.parquet")
    inspected = inspection.inspect(SOURCE, [tmp_path / "p.parquet"], ColumnsFile(), {})
    assert "parcels.words: expected vector, found Float64" in inspected.problems[0]


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5), max_size=5))
def test_the_text_of_a_table_is_read_as_the_same_text(rows: list[list[float]]) -> None:
    frame = pl.DataFrame({"v": pl.Series(rows, dtype=pl.List(pl.Float32))})
    texts = frame.select(v=vectors.from_lists(pl.col("v"), frame.schema["v"]))
    assert [json.loads(text) for text in texts["v"]] == [pytest.approx(row) for row in rows]
    assert texts.select(vectors.from_text(pl.col("v"))).to_series().to_list() == texts["v"].to_list()
    assert texts.select(vectors.length(pl.col("v"))).to_series().to_list() == [len(row) for row in rows]


@pytest.mark.parametrize(("column", "told"), [
    ({"kind": "vector"}, "length: expected that of a vector"),
    ({"kind": "number", "length": 3}, "length: expected that of a vector"),
    ({"kind": "vector", "length": 0}, "length: expected 1 to 4,096 floats, found 0"),
    ({"kind": "vector", "length": 3, "minimum": 0.0}, "expected bounds of a number only"),
])  # fmt: skip
def test_a_declaration_that_cannot_be_meant_is_refused(column: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        Column("words", **column)
    with pytest.raises(Invalid, match=r"expected columns that identify a row, found the vectors or texts \['words'\]"):
        Source("parcels", (*SOURCE.columns[:2], Column("words", "vector", length=3)), ("words",), "sent_at")
