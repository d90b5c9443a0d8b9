"""Warnings about loaded days: volume, missing values and distributions against the days before. They never block.

Whether a shift is drift that calls for a new model is not decided here.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import sqrt
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from jobs.ingest.calendar import days_before
from jobs.ingest.contracts import CHECKS, Finding
from jobs.stats.divergences import stability_index
from jobs.use_case import Source

REFERENCE_DAYS, CURRENT_DAYS = 28, 7
ENOUGH_DAYS, ENOUGH_ROWS = 7, 200
"""With fewer days or rows to compare, there is no warning."""
VOLUME_FACTOR, VOLUME_DEVIATIONS = 2.0, 5.0
"""A day is unusual beyond both; few rows deviate by more than a factor by chance."""
MISSING_DIFFERENCE = 0.05
STABILITY_LIMIT = 0.25
"""Above it, a population stability index is commonly read as a large shift (Siddiqi, Credit Risk Scorecards, 2006)."""
SHOWN = 10


def reference_days(days: Sequence[date]) -> tuple[list[date], list[date]]:
    """The loaded days that are judged (the last week of them) and the four weeks before, to compare them with."""
    last = max(days)
    current = [day for day in days if (last - day).days < CURRENT_DAYS]
    return current, days_before(min(current), REFERENCE_DAYS)


def findings(
    source: Source, days: Sequence[date], loaded: pl.DataFrame, before: pl.DataFrame, per_day: Mapping[date, int]
) -> list[Finding]:
    """Compare loaded rows with the rows `before`, and the volume of `days` with that of the days before each.

    `loaded` and `before` have the columns of the source; `per_day` counts the rows of the table by event date.
    """
    missing = {c.name: _missing(c.name, loaded, before) for c in source.columns if c.nullable or c.optional}
    numbers = [c.name for c in source.columns if c.kind in ("number", "integer")]
    indices = {name: sample_stability(before[name], loaded[name]) for name in numbers if name in before.columns}
    return [_volume(days, per_day), _missing_rate(missing, loaded, before), _distribution(indices, loaded, before)]


def nothing_loaded() -> list[Finding]:
    """Nothing new, nothing to warn of."""
    return [_finding(name, True, {"rows": 0}) for name, (_, contract) in CHECKS.items() if not contract]


def _finding(name: str, passed: bool, metadata: Mapping[str, Any]) -> Finding:
    return Finding(name, passed, False, CHECKS[name][0], metadata)


def _volume(days: Sequence[date], per_day: Mapping[date, int]) -> Finding:
    unusual = {}
    judged = 0
    for day in days:
        before = [per_day[d] for d in days_before(day, REFERENCE_DAYS) if d in per_day]
        if len(before) < ENOUGH_DAYS:
            continue
        judged += 1
        usual, loaded = median(before), per_day.get(day, 0)
        if (
            _deviation(loaded, usual) > VOLUME_DEVIATIONS
            and not usual / VOLUME_FACTOR <= loaded <= usual * VOLUME_FACTOR
        ):
            unusual[day.isoformat()] = f"{loaded} rows, usually {usual:.0f}"
    shown = dict(list(unusual.items())[-SHOWN:])
    return _finding("volume", not unusual, {"days_judged": judged, "days_unusual": len(unusual), **shown})


def _deviation(found: float, usual: float) -> float:
    """Standard deviations between two counts of independent rows (Anscombe, Biometrika 35, 1948)."""
    return 2 * abs(sqrt(found + 0.375) - sqrt(usual + 0.375))


def _missing(column: str, loaded: pl.DataFrame, before: pl.DataFrame) -> tuple[float, float]:
    if column not in before.columns:
        return 0.0, 0.0
    return _share_missing(loaded[column]), _share_missing(before[column])


def _share_missing(values: pl.Series) -> float:
    return values.null_count() / len(values) if len(values) else 0.0


def _missing_rate(shares: Mapping[str, tuple[float, float]], loaded: pl.DataFrame, before: pl.DataFrame) -> Finding:
    enough = min(loaded.height, before.height) >= ENOUGH_ROWS
    changed = {c: s for c, s in shares.items() if enough and abs(s[0] - s[1]) > MISSING_DIFFERENCE}
    shown = {column: f"{now:.1%} missing, {then:.1%} before" for column, (now, then) in shares.items()}
    return _finding("missing_rate", not changed, {"rows": loaded.height, "reference_rows": before.height, **shown})


def _distribution(indices: Mapping[str, float | None], loaded: pl.DataFrame, before: pl.DataFrame) -> Finding:
    judged = {name: round(index, 4) for name, index in indices.items() if index is not None}
    shifted = [name for name, index in judged.items() if index > STABILITY_LIMIT]
    indices = {f"stability_index_{name}": index for name, index in judged.items()}
    rows = {"rows": loaded.height, "reference_rows": before.height, "limit": STABILITY_LIMIT}
    return _finding("distribution", not shifted, {**rows, **indices})


def sample_stability(reference: pl.Series, current: pl.Series, bins: int = 10) -> float | None:
    """Population stability index of two samples over the deciles of the first; None if there are too few values."""
    then, now = reference.drop_nulls().to_numpy(), current.drop_nulls().to_numpy()
    if min(len(then), len(now)) < ENOUGH_ROWS:
        return None
    edges = np.unique(np.quantile(then, np.linspace(0, 1, bins + 1)[1:-1]))
    # An empty bin counts as half a row.
    expected, actual = (np.maximum(_counts(values, edges), 0.5) / len(values) for values in (then, now))
    return float(stability_index(expected, actual, least=0.0))


def _counts(values: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
