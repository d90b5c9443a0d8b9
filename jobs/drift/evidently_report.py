"""Evidently's HTML report of a day against the weeks before it, from a sample: for people, nothing is judged by it.

Evidently takes seconds to import and to draw. Each evening keeps the sample of its day, which costs hundredths of a
second; a report is drawn from it when somebody asks for one, or on an alarm.
"""

from __future__ import annotations

import hashlib
import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.drift.report import DriftReport
from jobs.models.tables import is_category
from jobs.scoring.decided_columns import SCORE
from jobs.settings import REPORTS, Settings, exported
from jobs.state_files import replace_bytes
from jobs.use_case import UseCase

ROWS, FEATURES = 5_000, 15
"""Rows of either sample, and features drawn: the time grows with both. A report has about 5 MB, a sample 1 MB."""
KEPT = timedelta(days=30)
"""Reports and samples of days that are older than this, counted from the newest, go."""
_MEASURED = b"measured"
"""Name of the metadata of a sample that identify what was measured on its day."""
_IS_NOW = "_is_now"
"""Column of a sample: whether the row is of the day, not of the weeks before."""


def folder(settings: Settings, use_case: UseCase) -> Path:
    return settings.home / REPORTS / use_case.name


def keep(settings: Settings, use_case: UseCase, report: DriftReport) -> Path:
    """Write the sample of the last judged day, of the score and the features that deviate most; returns its file."""
    path = folder(settings, use_case) / f"{report.last.day}.parquet"
    _forget(path.parent, report.last.day - KEPT)
    # What was measured, as rows of a sample come in any order.
    measured = hashlib.sha256(repr((report.last, report.named)).encode()).hexdigest().encode()
    if path.exists() and (pq.read_schema(path).metadata or {}).get(_MEASURED) == measured:
        return path
    names = sorted(report.last.features, key=lambda name: -report.last.features[name].score)
    # Drift is measured of all features of the events, samples hold those of the model.
    ranked = dict.fromkeys([SCORE, *report.named, *names])
    # Evidently has no column of vectors, and would take every text for a category of its own.
    drawn = set(report.now.column_names) - use_case.vector_lengths.keys() - use_case.texts
    names = [name for name in ranked if name in drawn][:FEATURES]
    parts = [(_part(report.then), False), (_part(report.now), True)]
    rows = pa.concat_tables(
        part.select(names).append_column(_IS_NOW, pa.array([is_now] * part.num_rows)) for part, is_now in parts
    )
    content = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({_MEASURED: measured}), content)
    path.with_suffix(".html").unlink(missing_ok=True)  # of another sample
    replace_bytes(path, content.getvalue().to_pybytes())
    return path


def latest(settings: Settings, use_case: UseCase) -> Path | None:
    """The sample of the newest day; None if there is none."""
    return max(folder(settings, use_case).glob("*.parquet"), default=None)


def draw(sample: Path) -> Path:
    """The report of a sample, beside it; drawn once."""
    path = sample.with_suffix(".html")
    if not path.exists():
        rows = pq.read_table(sample)
        then, now = rows.filter(pc.invert(rows[_IS_NOW])), rows.filter(rows[_IS_NOW])
        replace_bytes(path, _drawn(then, now, [name for name in rows.column_names if name != _IS_NOW]).encode())
    return path


def _forget(reports: Path, before: date) -> None:
    for pattern in ("*.html", "*.parquet"):
        for old in reports.glob(pattern):
            if old.stem < before.isoformat():
                old.unlink()


def _drawn(then: pa.Table, now: pa.Table, names: list[str]) -> str:
    # Reports send nothing, only Evidently's own service would; this keeps that from it, too. What its libraries say of
    # their own deprecated parts is nothing that a reader of a run's output could act on.
    with exported(DO_NOT_TRACK="1"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        names = [name for name in names if all(t[name].null_count < t.num_rows for t in (then, now))]
        texts = [name for name in names if is_category(now.schema.field(name).type)]
        numbers = [name for name in names if name not in texts]
        columns = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
        samples = [
            Dataset.from_pandas(table.select(names).to_pandas(), data_definition=columns) for table in (now, then)
        ]
        drawn = Report([DataDriftPreset()]).run(*samples)
    html: str = drawn.get_html_str(as_iframe=False)
    return html


def _part(table: pa.Table) -> pa.Table:
    """At most ROWS rows, evenly from all days."""
    return table.take(np.unique(np.linspace(0, table.num_rows - 1, ROWS).astype(np.int64)))
