"""Whether decisions treat declared groups alike, on rows whose labels are mature. What is fair is for people to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jobs.arrays import Bools

SMALLEST_COUNT = 30
"""A rate over fewer rows than this is more noise than finding; it is shown, and left out of differences."""


@dataclass(frozen=True)
class Report:
    """Metrics of the groups of one declaration."""

    name: str
    groups: Mapping[str, Mapping[str, float]]
    """Group -> metric -> value; NaN where there is nothing to divide by."""
    overall: Mapping[str, float]
    differences: Mapping[str, float]
    """Metric -> largest less smallest, of the groups with enough rows in the denominator; NaN if fewer than two."""


def _share(of: Bools, among: Bools) -> float:
    return float(of[among].mean()) if among.any() else float("nan")


def selection_rate(labels: Bools, decisions: Bools) -> float:
    """Share of rows decided positive (demographic parity compares it)."""
    return _share(decisions, np.ones_like(labels))


def recall(labels: Bools, decisions: Bools) -> float:
    """Share of positives that were found (equal opportunity, Hardt et al. 2016, compares it)."""
    return _share(decisions, labels)


def false_positive_rate(labels: Bools, decisions: Bools) -> float:
    """Share of negatives that were decided positive: who is bothered for nothing."""
    return _share(decisions, ~labels)


def precision(labels: Bools, decisions: Bools) -> float:
    """Share of positive decisions that were right."""
    return _share(labels, decisions)


RATES: Mapping[str, Callable[[Bools, Bools], float]] = {
    "selection_rate": selection_rate,
    "recall": recall,
    "false_positive_rate": false_positive_rate,
    "precision": precision,
}
_DENOMINATORS: Mapping[str, Callable[[Bools, Bools], int]] = {
    "selection_rate": lambda labels, decisions: len(labels),
    "recall": lambda labels, decisions: int(labels.sum()),
    "false_positive_rate": lambda labels, decisions: int((~labels).sum()),
    "precision": lambda labels, decisions: int(decisions.sum()),
}


def report(labels: Bools, decisions: Bools, masks: Mapping[str, Bools]) -> list[Report]:
    """One report per declaration.

    Args:
        labels, decisions: bool [n], of rows with mature labels.
        masks: `declaration:group` -> the group's rows (`jobs.datasets.slices.masks`); rows in no group count
        overall only.
    """
    names = list(dict.fromkeys(name.split(":")[0] for name in masks))
    return [
        _report(name, labels, decisions, {k.split(":", 1)[-1]: v for k, v in masks.items() if k.split(":")[0] == name})
        for name in names
    ]


def _report(name: str, labels: Bools, decisions: Bools, masks: Mapping[str, Bools]) -> Report:
    from fairlearn.metrics import MetricFrame

    group = np.full(len(labels), "", dtype=object)
    for value, mask in masks.items():
        group[mask] = value
    inside = group != ""
    if not inside.any():
        return Report(name, {}, {}, dict.fromkeys(RATES, float("nan")))
    metrics = {**RATES, **{f"{rate} of": count for rate, count in _DENOMINATORS.items()}}
    frame = MetricFrame(
        metrics=metrics, y_true=labels[inside], y_pred=decisions[inside], sensitive_features=group[inside]
    )
    table = frame.by_group
    enough = {rate: table[rate].where(table[f"{rate} of"] >= SMALLEST_COUNT).dropna() for rate in RATES}
    rows = {str(value): {name: float(v) for name, v in row.items()} for value, row in table.iterrows()}
    return Report(
        name,
        # In the order of the declaration.
        {value: _counted(rows[value]) for value in masks if value in rows},
        _counted({name: float(value) for name, value in frame.overall.items()}),
        {rate: float(v.max() - v.min()) if len(v) > 1 else float("nan") for rate, v in enough.items()},
    )


def _counted(row: Mapping[str, float]) -> dict[str, float]:
    rates = {rate: row[rate] for rate in RATES}
    return {"rows": row["selection_rate of"], "positives": row["recall of"], **rates}
