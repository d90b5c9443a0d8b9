"""Whether decisions treat declared groups alike, on rows whose labels are mature. People decide what is fair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jobs.arrays import Bools, Ints

SMALLEST_COUNT = 30
"""A rate over fewer rows than this is more noise than finding; it is shown, and left out of differences."""


@dataclass(frozen=True)
class FairnessReport:
    """Metrics of the groups of one declaration."""

    name: str
    groups: Mapping[str, Mapping[str, float]]
    """Group -> metric -> value; NaN where there is nothing to divide by."""
    overall: Mapping[str, float]
    differences: Mapping[str, float]
    """Metric -> largest less smallest, of the groups with enough rows in the denominator; NaN if fewer than two."""


def _share(of: Bools, among: Bools, counts: Ints) -> float:
    rows = int(counts[among].sum())
    return int(counts[among & of].sum()) / rows if rows else float("nan")


def selection_rate(labels: Bools, decisions: Bools, counts: Ints) -> float:
    """Share of rows decided positive (demographic parity compares it)."""
    return _share(decisions, np.ones_like(labels), counts)


def recall(labels: Bools, decisions: Bools, counts: Ints) -> float:
    """Share of positives that were found (equal opportunity, Hardt et al. 2016, compares it)."""
    return _share(decisions, labels, counts)


def false_positive_rate(labels: Bools, decisions: Bools, counts: Ints) -> float:
    """Share of negatives that were decided positive: who is bothered for nothing."""
    return _share(decisions, ~labels, counts)


def precision(labels: Bools, decisions: Bools, counts: Ints) -> float:
    """Share of positive decisions that were right."""
    return _share(labels, decisions, counts)


GroupRate = Callable[[Bools, Bools, Ints], float]
"""Labels, decisions, and how many rows have them."""
RATES: Mapping[str, GroupRate] = {
    "selection_rate": selection_rate,
    "recall": recall,
    "false_positive_rate": false_positive_rate,
    "precision": precision,
}
_DENOMINATORS: Mapping[str, GroupRate] = {
    "selection_rate": lambda labels, decisions, counts: int(counts.sum()),
    "recall": lambda labels, decisions, counts: int(counts[labels].sum()),
    "false_positive_rate": lambda labels, decisions, counts: int(counts[~labels].sum()),
    "precision": lambda labels, decisions, counts: int(counts[decisions].sum()),
}


def report(labels: Bools, decisions: Bools, masks: Mapping[str, Bools]) -> list[FairnessReport]:
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


def _report(name: str, labels: Bools, decisions: Bools, masks: Mapping[str, Bools]) -> FairnessReport:
    from fairlearn.metrics import MetricFrame

    groups = list(masks)
    group = np.full(len(labels), -1)
    for position, mask in enumerate(masks.values()):
        group[mask] = position
    inside = group >= 0
    if not inside.any():
        return FairnessReport(name, {}, {}, dict.fromkeys(RATES, float("nan")))
    # Rows that are alike are counted first: a table of a few lines instead of all rows.
    alike, counts = np.unique(4 * group[inside] + 2 * labels[inside] + decisions[inside], return_counts=True)
    metrics = {**RATES, **{f"{rate} of": count for rate, count in _DENOMINATORS.items()}}
    frame = MetricFrame(
        metrics=metrics,
        y_true=alike // 2 % 2 == 1,
        y_pred=alike % 2 == 1,
        sensitive_features=[groups[position] for position in alike // 4],
        sample_params={metric: {"counts": counts} for metric in metrics},
    )
    table = frame.by_group
    enough = {rate: table[rate].where(table[f"{rate} of"] >= SMALLEST_COUNT).dropna() for rate in RATES}
    rows = {str(value): {name: float(v) for name, v in row.items()} for value, row in table.iterrows()}
    return FairnessReport(
        name,
        # In the order of the declaration.
        {value: _counted(rows[value]) for value in masks if value in rows},
        _counted({name: float(value) for name, value in frame.overall.items()}),
        {rate: float(v.max() - v.min()) if len(v) > 1 else float("nan") for rate, v in enough.items()},
    )


def _counted(row: Mapping[str, float]) -> dict[str, float]:
    rates = {rate: row[rate] for rate in RATES}
    return {"rows": row["selection_rate of"], "positives": row["recall of"], **rates}
