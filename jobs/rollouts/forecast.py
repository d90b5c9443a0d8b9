"""What a rollout can find, and when: told before it starts, by the traffic of the log and by past events that both
models score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs.errors import EvergreenError
from jobs.ledger import promotions
from jobs.models.tables import examples_of
from jobs.rollouts.conduct import Asked
from jobs.rollouts.findings import FINDINGS, USUAL_POSITIVES
from jobs.scoring import prediction_log
from jobs.stats.confidence_sequences import Looking
from jobs.stats.detectable_effect import days_to_verdict, detectable_effect, spread
from jobs.stats.precision_parts import paired_parts
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.arrays import Bools, Floats
    from jobs.lakehouse.tables import Lakehouse
    from jobs.registry.bundle import Bundle
    from jobs.registry.champion_bundles import Champions

PAST_ROWS = 50_000
"""Of the latest mature rows, on which both models are tried."""
TRAFFIC_DAYS = 7
LOOKS_AHEAD = (1, 7, 28)
"""Days after which it is told what can be found."""


@dataclass(frozen=True)
class Forecast:
    """What can be found, or why nothing can be told."""

    events_a_day: float
    positives_a_day: float = 0.0
    detectable: tuple[tuple[int, float], ...] = ()
    """After so many days of traffic: the smallest difference of the objective that is found with a chance of 80 %."""
    margin: float = 0.0
    days_to_margin: float = 0.0
    """Until a difference of the margin is found, with the time until its labels are mature; infinite: never."""
    untold: str = ""

    def sentences(self) -> Iterator[str]:
        """For people."""
        if self.untold:
            yield f"What it can find is not told: {self.untold}."
            return
        yield f"About {self.events_a_day:,.0f} events a day take part, {self.positives_a_day:,.1f} of them positive."
        for after, effect in self.detectable:
            yield f"After {after} days of traffic a difference of {effect:.3f} in average precision is found (80 %)."
        days = self.days_to_margin
        told = "is not found in any time" if days == float("inf") else f"takes {days:,.0f} days, labels included"
        yield f"A verdict about a difference of {self.margin:g} {told}; failures and slowness show within minutes."


def forecast(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, asked: Asked, now: datetime) -> Forecast:
    """What a rollout can find. It never raises for what is not known: a rollout may start without a forecast."""
    events = _events_a_day(lakehouse, use_case, now) * (1.0 if asked.strategy.kind == "shadow" else asked.traffic)
    try:
        gains, clusters, positives = _past(lakehouse, use_case, champions, asked, now)
    except EvergreenError as error:
        return Forecast(events, untold=str(error))
    if not events or len(gains) < 2:
        return Forecast(events, untold="no decisions of the last week" if not events else "too few mature positives")
    a_day, looking = events * positives, Looking((1 - asked.strategy.level) / FINDINGS, USUAL_POSITIVES)
    wide, margin = spread(gains, clusters), asked.strategy.margin
    found = tuple((days, detectable_effect(wide, a_day * days, looking)) for days in LOOKS_AHEAD)
    until = days_to_verdict(margin, wide, a_day, looking, use_case.label_maturity / timedelta(days=1))
    return Forecast(events, a_day, found, margin, until)


def _past(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, asked: Asked, now: datetime
) -> tuple[Floats, Any, float]:
    """Gains by each past positive, whose it was, and the share of positives.

    Both models may have been trained on some of these rows; their spread, which is all that counts here, hardly cares.
    """
    from jobs.evaluation import mature_rows

    version = next(iter(asked.versions.values()))
    champion, other = promotions.champion(lakehouse.settings, use_case), champions.version(use_case, version)[1]
    rows = mature_rows.latest(lakehouse, use_case, now, PAST_ROWS)
    if champion is None or problem_of(use_case).task != "binary" or not rows.num_rows:
        return np.zeros(0), np.zeros(0), 0.0
    mine = champions.bundle(use_case, champion.version, champion.sha256)
    labels: Bools = np.asarray(rows[use_case.label].to_numpy(zero_copy_only=False), np.bool_)
    days = rows[use_case.event_timestamp].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() // 86_400_000_000
    gains = paired_parts(labels, _scores(other, rows, use_case), _scores(mine, rows, use_case), days)
    clusters = np.array(rows[use_case.cluster_key].to_pylist()).astype(str)[labels]
    return gains, clusters, float(labels.mean())


def _scores(bundle: Bundle, rows: pa.Table, use_case: UseCase) -> Floats:
    task = task_of(problem_of(use_case))
    scores: Floats = bundle.model().predict(
        examples_of(rows, bundle.manifest.names, use_case.label, task=task).features
    )
    return np.asarray(scores, np.float64)


def _events_a_day(lakehouse: Lakehouse, use_case: UseCase, now: datetime) -> float:
    """Decisions of the last days, of those that were shipped."""
    table = prediction_log.table(use_case)
    if not lakehouse.exists(table):
        return 0.0
    since = now - timedelta(days=TRAFFIC_DAYS)
    rows = lakehouse.to_arrow(table, columns=["scored_at"], filters=[("scored_at", ">=", since)])
    return float(rows.num_rows / TRAFFIC_DAYS)
