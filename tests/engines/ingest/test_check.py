"""What a check says of files is what a load of them then does."""

import csv
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from worlds.draws import drawn

from jobs.errors import EvergreenError
from jobs.ingest import check, load
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Column, Source, UseCase

# What a file is like does not depend on the engine.
pytestmark = pytest.mark.embedded
NOW = datetime(2026, 6, 1, tzinfo=UTC)
METERS = Source(
    name="meters", key=("meter_id",), event_time="built_at", daily=False,
    columns=(Column("meter_id", "identifier"), Column("built_at", "timestamp")),
)  # fmt: skip
READINGS = Source(
    name="readings", key=("reading_id",), event_time="read_at", references={"meter_id": "meters.meter_id"},
    columns=(
        Column("reading_id", "identifier"),
        Column("read_at", "timestamp"),
        Column("meter_id", "identifier"),
        Column("value", "number", minimum=0),
        Column("unit", "string", nullable=True, optional=True),
    ),
)  # fmt: skip
USE_CASE = UseCase(
    name="meters", description="", owners=(), sources=(METERS, READINGS), first_day=date(2026, 1, 1),
    last_day=date(2026, 1, 1), events="e", labels="l", event_id="reading_id", event_timestamp="read_at", entities=(),
    label="x", label_maturity=timedelta(days=1), windows=(), feature_service="m", training_window=timedelta(days=1),
)  # fmt: skip
VALUES: dict[str, Sequence[str]] = {
    "READING_ID": ["1", "2", "3", "3", "4", "x7", "", "007"],
    "READ_AT": ["2026-05-01", "2026-05-01 10:00:00", "2026-05-02T10:00:00Z", "01/02/2026", "1777716000", "2027-01-01"],
    "METER_ID": ["1", "2", " 1", "9", "null", "1.0"],
    "VALUE": ["1.5", "1.234", "12,5", "nan", "-1", "", "3", "2.25"],
    "UNIT": ["kWh", "", 'a "quoted" one', "two\nlines", "a,b"],
}


def written(path: Path, number: int, parquet: bool) -> Path:
    draw = drawn(f"check {number}")
    header = list(VALUES)
    # Most rows are good, so that a table comes to hold some.
    rows = [
        [str(n), "2026-05-01 10:00:00", "1", "1.5", "kWh"]
        if draw.random() < 0.4
        else [draw.choice(VALUES[name]) for name in header]
        for n in range(draw.randrange(1, 12))
    ]
    if parquet:
        pl.DataFrame(rows, schema=header, orient="row").write_parquet(path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows([header, *(row + ["more"] * (draw.random() < 0.1) for row in rows)])
        handle.write('\n9,"stray' if draw.random() < 0.1 else "")
    return path


@pytest.mark.parametrize("number", range(12))
def test_a_check_says_what_a_load_then_does(lakehouse: Lakehouse, tmp_path: Path, number: int) -> None:
    use_case = replace(USE_CASE, name=f"meters_{uuid.uuid4().hex[:8]}")
    meters = tmp_path / "meters.csv"
    meters.write_text("METER_ID,BUILT_AT\n1,2020-01-01\n2,2020-01-01\n")
    for round in range(2):  # the second load meets a table that holds rows
        file = written(tmp_path / f"readings{round}.csv", 10 * number + round, parquet=number % 3 == 0)
        inputs = Inputs({"meters": (str(meters),), "readings": (str(file),)}, date(2026, 5, 1), date(2026, 5, 31))
        tables = [f"{use_case.raw_table(s)}{end}" for s in use_case.sources for end in ("", "_quarantine")]
        before = lakehouse.versions(tables)
        told = check.check(lakehouse.settings, use_case, inputs, None, NOW)
        assert lakehouse.versions(tables) == before
        by_name = {checked.name: checked for checked in told.inputs}
        refusals = []
        for source in use_case.sources:
            try:
                result = load.load(lakehouse, use_case, source, inputs, as_of=inputs.end, now=NOW)
            except EvergreenError as error:
                refusals.append(str(error).split(":")[0])
                continue
            checked = by_name[source.name]
            if source is METERS and round:
                continue  # remembered
            assert checked.read == result.rows_read
            assert {q["reason"]: q["rows"] for q in checked.quarantined} == dict(Counter(result.quarantined))
            assert checked.rows.height == result.appended
            assert stored(lakehouse, use_case, source, checked.rows) == by_key(checked.rows)
        assert [text.split(":")[0] for text in told.refusals] == refusals


def stored(lakehouse: Lakehouse, use_case: UseCase, source: Source, expected: pl.DataFrame) -> list[tuple[Any, ...]]:
    rows = pl.DataFrame(lakehouse.to_arrow(use_case.raw_table(source)))
    return by_key(
        rows.filter(pl.col("loaded_in").is_in(expected["loaded_in"].unique().implode())).select(expected.columns)
    )


def by_key(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    times = pl.selectors.datetime().dt.cast_time_unit("us")
    return sorted(rows.with_columns(times).rows(), key=repr)
