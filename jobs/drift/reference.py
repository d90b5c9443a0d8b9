"""The stable period of a model as it is kept between evenings: bins, daily counts and the classifier's null, as JSON.

Measuring it takes seconds, and it stays what it was on the model's first evening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from jobs.drift import detector
from jobs.drift.detector import Reference
from jobs.drift.drift_kernel import Edges
from jobs.drift.histograms import Histograms
from jobs.settings import Settings
from jobs.state_files import read_json, replace_json
from jobs.stats.domain_classifier import Null
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class StoredReference:
    """What a day is compared by."""

    edges: Mapping[str, Edges]
    reference: Reference
    null: Null | None
    """None: too few days in a row."""


def last(settings: Settings, use_case: UseCase, of: Mapping[str, str]) -> StoredReference | None:
    """What was kept for this model and period; None if it was another's."""
    found = read_json(_path(settings, use_case))
    if found.get("of") != of:
        return None
    edges = {name: np.array(cuts, dtype=np.float32) for name, cuts in found["edges"].items()}
    days = tuple(date.fromisoformat(day) for day in found["days"])
    counts = np.array(found["counts"], dtype=np.int64)
    reference = detector.reference(Histograms(days, tuple(edges), counts))
    return StoredReference(edges, reference, None if found["null"] is None else Null(**found["null"]))


def keep(settings: Settings, use_case: UseCase, of: Mapping[str, str], kept: StoredReference) -> None:
    """Keep it in place of the last one."""
    histograms = kept.reference.histograms
    content = {
        "of": dict(of),
        "null": None if kept.null is None else asdict(kept.null),
        "edges": {name: cuts.tolist() for name, cuts in kept.edges.items()},
        "days": [str(day) for day in histograms.days],
        "counts": histograms.counts.tolist(),
    }
    replace_json(_path(settings, use_case), content)


def _path(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "drift_reference.json"
