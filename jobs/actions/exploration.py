"""Actions on scores with exploration: which events are blocked, and which are let through at random to learn from.

A blocked payment never gets a label, so that a model that learns from the labels that are left learns from a biased
sample. Letting a few suspected events through at random, with a chance that is recorded, makes the sample correctable:
an event that is let through with chance p stands for 1 / p events (Horvitz & Thompson, JASA 47, 1952; for learning from
logged decisions Swaminathan & Joachims, ICML 2015). For estimates from such weights see `jobs.stats.weighted_metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.arrays import Bools, Floats
from jobs.datasets.history import History, LabelVersions
from jobs.errors import Invalid
from jobs.use_case import UseCase


@dataclass(frozen=True)
class Acting:
    """Policy that turns the scores of a day into actions.

    Raises:
        ValueError: a rate outside [0, 1], a negative number, or a clip below 1.
    """

    threshold: float
    """Events with `score >= threshold` are suspected."""
    quota: int | None = None
    """Largest number of suspected events of a day, the highest scores first; None: no limit."""
    explore: float = 0.0
    """Chance that a suspected event is let through."""
    cap: int = 20
    """Largest number of suspected events of a day that are let through."""
    limit: float | None = None
    """Largest amount of a suspected event that may be let through; None: no limit."""
    corrected: bool = True
    """Whether events weigh 1 / chance in what is learned from them."""
    clip: float = 50.0
    """Largest weight of an event (Ionides, Journal of Computational and Graphical Statistics 17, 2008): bounds the
    variance for a bias where chances are tiny."""
    seed: int = 0

    def __post_init__(self) -> None:
        least = min(self.cap, self.quota or 0, self.limit or 0, self.seed)
        if not 0 <= self.explore <= 1 or least < 0 or self.clip < 1:
            raise Invalid(f"acting: expected a rate in [0, 1], counts >= 0 and a clip >= 1, found {self}")


@dataclass(frozen=True, eq=False)
class Actions:
    """Actions on the events of a day; one value per event."""

    blocked: Bools
    explored: Bools
    """Whether an event was suspected, and let through at random."""
    propensities: Floats
    """Chances of events to be let through, so that their labels can be seen: 1 where nothing was suspected."""

    def counts(self) -> dict[str, Any]:
        """Numbers of blocked and explored events, and the mean chance of the suspected ones to be let through."""
        suspected = self.blocked | self.explored
        chance = float(self.propensities[suspected].mean()) if suspected.any() else 1.0
        return {"blocked": int(self.blocked.sum()), "explored": int(self.explored.sum()), "propensity": chance}


def act(scores: Floats, day: date, policy: Acting, amounts: Floats | None = None) -> Actions:
    """Block the suspected events of a day except some that are drawn at random; always the same for a seed and day.

    With n events to draw from, m = min(explore x n, cap) are let through on average. Their number is m rounded up or
    down at random with mean m, and they are drawn without replacement, so that every one had a chance of exactly m / n
    and the cap is never exceeded.

    Args:
        scores: shape (events,).
        amounts: shape (events,); needed if the policy has a limit.

    Raises:
        ValueError: the policy has a limit and there are no amounts.
    """
    suspected = _suspected(scores, policy)
    free = suspected
    if policy.limit is not None:
        if amounts is None:
            raise Invalid(f"act: expected amounts, as the policy has a limit of {policy.limit}, found none")
        free = suspected & (amounts <= policy.limit)
    places = np.flatnonzero(free)
    mean = min(policy.explore * len(places), policy.cap)
    lots = np.random.default_rng((policy.seed, day.toordinal()))
    count = int(mean) + int(lots.random() < mean % 1)
    explored = np.zeros(len(scores), np.bool_)
    explored[lots.choice(places, count, replace=False)] = True
    propensities = np.where(suspected, 0.0, 1.0)
    propensities[places] = mean / max(1, len(places))
    return Actions(suspected & ~explored, explored, propensities)


def _suspected(scores: Floats, policy: Acting) -> Bools:
    above: Bools = scores >= policy.threshold
    if policy.quota is not None and above.sum() > policy.quota:
        highest = np.argsort(-scores, kind="stable")[: policy.quota]
        above = np.zeros(len(scores), np.bool_)
        above[highest] = True
    return above


def table(decided: Iterable[tuple[slice, date, Floats | None]], history: History, ids: Any, policy: Acting) -> pa.Table:
    """A row per event of the days that have scores: action, chance and weight.

    Args:
        decided: rows of a day, the day, and their scores.
        ids: of all events of the history, in its order.

    Returns:
        Columns `event_id`, `date`, `score`, `blocked`, `explored`, `propensity` (chance that the event was let
        through) and `weight` (of its label in training and metrics).
    """
    parts = []
    for rows, day, scores in decided:
        if scores is None:
            continue
        actions = act(scores, day, policy, history.amounts_of(rows))
        columns = {"event_id": ids[rows], "date": pa.array([day] * len(scores), pa.date32()), "score": scores}
        columns |= {"blocked": actions.blocked, "explored": actions.explored, "propensity": actions.propensities}
        parts.append(pa.table({**columns, "weight": importance_weights(actions, policy)}))
    return pa.concat_tables(parts)


def importance_weights(actions: Actions, policy: Acting) -> Floats:
    """Number of events that each one stands for: 0 if it was blocked, else the clipped 1 / chance; 1 without
    correction."""
    weights = 1 / np.maximum(actions.propensities, 1 / policy.clip) if policy.corrected else 1.0
    importances: Floats = np.where(actions.blocked, 0.0, weights)
    return importances


def observed(history: History, weights: Floats) -> History:
    """The history with the labels that are left where some events were blocked.

    Args:
        weights: of each event, as `importance_weights` returns them.
    """
    labels = history.labels
    is_observed = weights[labels.rows] > 0
    observed_labels = LabelVersions(
        labels.rows[is_observed],
        labels.values[is_observed],
        labels.known_at[is_observed],
        labels.superseded_at[is_observed],
    )
    return replace(history, labels=observed_labels, importance=weights)


def without_label_features(history: History, use_case: UseCase) -> History:
    """The history without features that are made of labels: these were computed once, also from labels of events that
    the policy would have blocked, and would leak them."""
    columns = [n for n, name in enumerate(history.names) if name not in use_case.label_features]
    names = tuple(history.names[n] for n in columns)
    return replace(history, names=names, features=history.features[:, columns])
