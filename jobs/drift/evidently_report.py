"""Evidently's HTML report of a day against the weeks before it, from a sample: for people, nothing is judged by it.

Evidently takes seconds to import and to draw, so that this is for days that a person looks into.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.drift.report import DriftReport
from jobs.scoring.scoring_kernel import SCORE
from jobs.settings import Settings, exported
from jobs.state_files import replace_bytes
from jobs.use_case import UseCase

ROWS, FEATURES, KEPT = 5_000, 15, 30
"""Rows of either sample, features drawn (the time grows with both), and reports that are kept (about 5 MB each)."""


def folder(settings: Settings, use_case: UseCase) -> Path:
    return settings.home / "reports" / use_case.name


def write(settings: Settings, use_case: UseCase, report: DriftReport) -> Path:
    """Draw the score and the features that deviate most into `reports/{use_case}/{day}.html`; the oldest go."""
    names = sorted(report.last.features, key=lambda name: -report.last.features[name].score)
    # Drift is measured of all features of the events, samples hold those of the model.
    ranked = dict.fromkeys([SCORE, *report.named, *names])
    names = [name for name in ranked if name in report.now.column_names][:FEATURES]
    path = folder(settings, use_case) / f"{report.last.day}.html"
    replace_bytes(path, _drawn(report.then, report.now, names).encode())
    for old in sorted(path.parent.glob("*.html"))[:-KEPT]:
        old.unlink()
    return path


def _drawn(then: pa.Table, now: pa.Table, names: list[str]) -> str:
    # Reports send nothing, only Evidently's own service would; this keeps that from it, too. What its libraries say of
    # their own deprecated parts is nothing that a reader of a run's output could act on.
    with exported(DO_NOT_TRACK="1"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        names = [name for name in names if all(t[name].null_count < t.num_rows for t in (then, now))]
        columns = DataDefinition(numerical_columns=names)
        samples = [
            Dataset.from_pandas(_part(table).select(names).to_pandas(), data_definition=columns)
            for table in (now, then)
        ]
        drawn = Report([DataDriftPreset()]).run(*samples)
    html: str = drawn.get_html_str(as_iframe=False)
    return html


def _part(table: pa.Table) -> pa.Table:
    """At most ROWS rows, evenly from all days."""
    return table.take(np.unique(np.linspace(0, table.num_rows - 1, ROWS).astype(np.int64)))
