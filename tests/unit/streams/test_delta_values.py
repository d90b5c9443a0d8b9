"""Rows of Delta tables that come as messages have the values that they have when the table is loaded as an input."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from polars.testing import assert_frame_equal

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.messages.delta_topic import DeltaTopic
from jobs.messages.formats import decoder
from jobs.messages.position import Position
from jobs.streams.intake import Intake
from jobs.streams.known_rows import KnownRows
from jobs.use_case import Column, Source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MORNING = datetime(2026, 5, 20, 5, 7, 9, 123456)
SOURCE = Source(
    name="rows",
    key=("id",),
    event_time="at",
    columns=(
        Column("id", "identifier"),
        Column("at", "timestamp"),
        Column("n", "number", nullable=True),
        Column("i", "integer", nullable=True),
        Column("b", "boolean", nullable=True),
        Column("s", "string", nullable=True),
        Column("c", "category", nullable=True),
        Column("v", "vector", nullable=True, length=2),
    ),
)
NAMES = [column.name for column in SOURCE.columns]
TIMES = [MORNING, datetime(1999, 1, 1), datetime(2026, 5, 31, 23, 59, 59, 999999)]
VALUES: dict[str, list[tuple[pa.DataType, list[Any]]]] = {
    "id": [
        (pa.int64(), [1, 2**53 + 1, -(2**63)]), (pa.string(), ["a", "é\n", "007"]), (pa.int32(), [1, 2, 3]),
        (pa.string(), ["12", "7", "900719925474099312"]),
    ],
    "at": [
        (pa.timestamp("us", "UTC"), TIMES), (pa.timestamp("us"), TIMES), (pa.date32(), [date(2026, 5, 1)] * 3),
        (pa.string(), ["2026-05-20T05:07:09+02:00", "2026-05-20 05:07:09.5Z", "2026-05-20T00:00:00Z"]),
    ],
    "n": [
        (pa.float64(), [0.1, -0.0, 5e-324]), (pa.float64(), [1e300, None, float("nan")]),
        (pa.float32(), [0.1, 3e38, 0]),
        (pa.float64(), [float("inf"), 123456789.123, 1e16]), (pa.int64(), [1, 0, None]),
        (pa.decimal128(38, 9), [Decimal("1.1"), None, Decimal("12345678901234567890.123456789")]),
        (pa.string(), ["1.5", "1e3", None]),
    ],
    "i": [(pa.int64(), [2**53 + 1, -5, None]), (pa.int8(), [1, -128, None]), (pa.float64(), [1.0, -3.0, None])],
    "b": [(pa.bool_(), [True, False, None]), (pa.int64(), [1, 0, None]), (pa.string(), ["true", "0", None])],
    "s": [(pa.string(), [" ", '"\u2028\\', None]), (pa.int64(), [1, 2, None])],
    "c": [(pa.string(), ["001", "b", None]), (pa.int32(), [1, 2, None]), (pa.float64(), [1.0, 2.5, None])],
    "v": [
        (pa.list_(pa.float32()), [[0.1, 2.0], None, [1, -3e38]]), (pa.string(), ["[1, 2]", None, "[0.5,1e3]"]),
        (pa.list_(pa.float64()), [[0.1, float("nan")], [1.0], [3.0, 4.0]]),
    ],
}  # fmt: skip


def loaded(folder: Path) -> pl.DataFrame:
    """The good rows of the table as an input."""
    inspected = inspection.inspect(SOURCE, [folder], ColumnsFile(), {})
    assert not inspected.problems
    frame = read_batch(SOURCE, inspected, ColumnsFile(), {}, NOW).frame
    return contracts.split(frame, contracts.row_checks(SOURCE, frame.columns, "UTC", NOW))[0].select(NAMES)


def streamed(folder: Path, identifiers: dict[str, str]) -> pl.DataFrame:
    """The good rows of the table as messages."""
    messages = [each for part in DeltaTopic(folder, Position("t")).unread(1000) for each in part]
    intake = Intake(SOURCE, ColumnsFile(), decoder("json"), KnownRows(SOURCE.key, NAMES), identifiers)
    frame = intake._frame(intake.decode(messages), NOW)
    return contracts.split(frame, contracts.row_checks(SOURCE, frame.columns, "UTC", NOW))[0].select(NAMES)


@pytest.mark.parametrize("seed", range(30))
def test_values_of_every_type_are_the_same_either_way(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    drawn = {name: types[seed] if seed < len(types) else chance.choice(types) for name, types in VALUES.items()}
    table = pa.table({name: pa.array(values, kind) for name, (kind, values) in drawn.items()})
    write_deltalake(tmp_path / "table", table)
    one = loaded(tmp_path / "table")
    other = streamed(tmp_path / "table", {"id": "integer" if one["id"].dtype.is_integer() else "string"})
    assert_frame_equal(one.sort("id"), other.sort("id"), check_exact=True)
