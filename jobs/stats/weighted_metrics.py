"""Metrics of a policy, estimated from a world that acted: every seen event stands for `weights` events.

Estimates are ratios of weighted sums, self-normalised (Hajek 1971; for logged decisions Swaminathan & Joachims, NeurIPS
2015): a little biased in small samples, with less variance than dividing by the known number of events. Weights are
those of `jobs.actions.exploration.importance_weights`; blocked events, whose weight is 0, are left out by their weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Bools, Floats, ends_of_runs
from jobs.errors import Invalid
from jobs.stats.metrics import checked


def average_precision(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> float:
    """`jobs.stats.metrics.average_precision` where each row counts `weights` times; with weights of 1, the same.

    Raises:
        ValueError: labels, scores or weights are unusable, or the weighted labels are all alike.
    """
    truth, values, stands_for = _weighted(labels, scores, weights)
    order = np.argsort(-values, kind="stable")
    ends = ends_of_runs(values[order]) - 1
    caught = np.cumsum((truth * stands_for)[order])[ends]
    alerts = np.cumsum(stands_for[order])[ends]
    if not 0 < caught[-1] < alerts[-1]:
        raise Invalid(
            f"expected seen positives and negatives, found a weight of {caught[-1]} positives in {alerts[-1]}; "
            "take a longer period, or explore more"
        )
    precision = np.divide(caught, alerts, out=np.zeros_like(caught), where=alerts > 0)
    return float(np.sum(np.diff(caught, prepend=0.0) * precision) / caught[-1])


def precision_at(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike, alerted: ArrayLike) -> float:
    """Share of positives among the `alerted` events, such as those above a threshold or the highest of each day.

    What is alerted depends on scores alone, so that it is known of blocked events too; 0 if nothing alerted was seen.

    Raises:
        ValueError: labels, scores or weights are unusable.
    """
    truth, _, stands_for = _weighted(labels, scores, weights)
    among = stands_for * np.asarray(alerted, np.bool_)
    return float(among @ truth / among.sum()) if among.sum() else 0.0


def money_saved(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike, alerted: ArrayLike, amounts: ArrayLike, cost: float
) -> float:
    """Amounts of the frauds among the `alerted` events, less `cost` for each of these, in the money of `amounts`.

    A mean over the seen events that are alerted, times their number, which is known.

    Raises:
        ValueError: labels, scores or weights are unusable.
    """
    truth, _, stands_for = _weighted(labels, scores, weights)
    is_alerted = np.asarray(alerted, np.bool_)
    among = stands_for * is_alerted
    if not among.sum():
        return -cost * float(is_alerted.sum())
    caught = among @ np.where(truth, np.asarray(amounts, np.float64), 0.0) / among.sum()
    return float(is_alerted.sum() * (caught - cost))


def _weighted(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> tuple[Bools, Floats, Floats]:
    truth, values = checked(labels, scores)
    _, stands_for = checked(labels, weights, "weights")
    if (stands_for < 0).any():
        raise Invalid(f"weights: expected 0 or more, found {stands_for.min()}; 0 leaves a row out")
    return truth, values, stands_for
