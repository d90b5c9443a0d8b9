"""The format of times is named as a columns file would name it."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from jobs.ingest import inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import columns_file
from jobs.ingest.declared_formats import ValueFormat
from jobs.ingest.value_formats import format_of
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FORMATS = {
    "2026-05-01": "%Y-%m-%d in UTC",
    "2026-05-01 10:00": "%Y-%m-%d %H:%M in UTC",
    "2026-05-01 10:00:07.250": "%Y-%m-%d %H:%M:%S%.f in UTC",
    "2026-05-01T10:00:07Z": "%Y-%m-%dT%H:%M:%S%z",
    "2026-05-01T10:00:07.25+02:00": "%Y-%m-%dT%H:%M:%S%.f%z",
    "2026-05-01 10:00:07+0200": "%Y-%m-%d %H:%M:%S%z",
}


@pytest.mark.parametrize("text", FORMATS)
def test_a_format_is_named_as_it_would_be_declared(tmp_path: Path, text: str) -> None:
    columns = {"TRANSACTION_ID": [1], "TX_FRAUD": [1], "FRAUD_REPORTED_AT": [text]}
    pl.DataFrame(columns).write_csv(tmp_path / "a.csv")
    names = columns_file({}, FRAUD)
    batch = read_batch(
        FRAUD_REPORTS, inspection.inspect(FRAUD_REPORTS, [tmp_path / "a.csv"], names, {}), names, {}, NOW
    )
    time = next(each for each in FRAUD_REPORTS.columns if each.name == "fraud_reported_at")
    assert format_of(batch, time, ValueFormat()) == FORMATS[text]
