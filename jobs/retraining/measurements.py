"""What a night's evidence was measured by, stored until the next night: what the page shows is what the policy saw.

The ledger keeps the scores of every night. Counts per day, feature and bin are too many for it and are needed once.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from jobs.drift import detector
from jobs.drift.detector import Drift
from jobs.drift.histograms import Histograms
from jobs.ground_truth.drift_windows import DriftTest
from jobs.retraining.input_drift import Measured
from jobs.retraining.monitor import DailyEvidence
from jobs.settings import Settings
from jobs.state_files import read_arrays, replace_bytes
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class Measurement:
    """Counts and concept drift of one night."""

    as_of: datetime
    versions: Mapping[str, Any]
    """Of the tables and the champion that it was measured on."""
    stable: Histograms | None
    """Days of the reference; None: there are too few days before the champion."""
    recent: Histograms | None
    """Days since."""
    concept: DriftTest | None
    """None: no model decided yet."""
    unmeasured: str = ""
    """Why there is no reference, if there is none."""

    @classmethod
    def of(cls, as_of: datetime, shown: DailyEvidence, measured: Measured | None) -> Measurement:
        """The measurement behind an evening's evidence."""
        reference = measured.reference if measured is not None and measured.compared.days else None
        if measured is None or reference is None:
            return cls(as_of, shown.versions, None, None, shown.concept, shown.note)
        return cls(as_of, shown.versions, reference.histograms, measured.compared, shown.concept)

    def judged(self, of_labels: frozenset[str], days: int) -> list[Drift]:
        """Drift of the latest `days`, oldest first, as each evening judged it; none without a reference."""
        if self.stable is None or self.recent is None:
            return []
        reference, recent = detector.reference(self.stable), self.recent
        return [detector.judge(reference, recent.until(day), of_labels) for day in recent.days[-days:] if day]


def remember(settings: Settings, use_case: UseCase, measurement: Measurement) -> None:
    """Keep it in place of the last one."""
    parts = {"stable": measurement.stable, "recent": measurement.recent}
    header = {
        "as_of": measurement.as_of.isoformat(),
        "versions": dict(measurement.versions),
        "concept": None if measurement.concept is None else asdict(measurement.concept),
        "unmeasured": measurement.unmeasured,
        "features": list(measurement.stable.features) if measurement.stable else [],
        "days": {name: [str(day) for day in part.days] for name, part in parts.items() if part is not None},
    }
    counts = {name: part.counts for name, part in parts.items() if part is not None}
    content = io.BytesIO()
    np.savez_compressed(content, header=np.array(json.dumps(header)), **counts)  # type: ignore[arg-type]
    replace_bytes(_path(settings, use_case), content.getvalue())


def last(settings: Settings, use_case: UseCase, as_of: datetime, versions: Mapping[str, Any]) -> Measurement | None:
    """What was stored last, if it was measured at this moment and on these versions of tables.

    The champion may be another by now: one that was promoted since, because of what was measured.
    """
    content = read_arrays(_path(settings, use_case)) or {}
    header = json.loads(str(content["header"])) if "header" in content else {}
    if header.get("as_of") != as_of.isoformat() or _tables(header["versions"]) != _tables(versions):
        return None
    features = tuple(header["features"])
    parts = {
        name: Histograms(tuple(map(date.fromisoformat, days)), features, content[name])
        for name, days in header["days"].items()
    }
    counts = parts.get("stable"), parts.get("recent")
    return Measurement(as_of, header["versions"], *counts, _concept(header["concept"]), header["unmeasured"])


def recent_days(settings: Settings, use_case: UseCase) -> tuple[date, ...]:
    """Days of the last night's measurement that are compared with the reference, in order; none without one."""
    content = read_arrays(_path(settings, use_case)) or {}
    header = json.loads(str(content["header"])) if "header" in content else {"days": {}}
    return tuple(map(date.fromisoformat, header["days"].get("recent", ())))


def _tables(versions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: version for name, version in versions.items() if name != "champion"}


def _concept(stored: Mapping[str, Any] | None) -> DriftTest | None:
    if stored is None:
        return None
    return DriftTest(**{**stored, "windows": {int(days): p for days, p in stored["windows"].items()}})


def _path(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "measured.npz"
