"""The prediction log as evidence about another policy: each event with the other policy's score, what was decided, and
its label where the log's policy let it be seen.

A blocked event never gets a label. Where anything was blocked, only what the champion answered counts, each event for
1 / chance that it did: what an arm of a rollout would have blocked too is not in the log. Where nothing was blocked,
every label is seen whoever answered, and every event counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Floats
from jobs.datasets.training_rows import amounts_of
from jobs.errors import Invalid
from jobs.ground_truth import outcomes
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.runtime import score
from jobs.models.tables import features_of
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.rollout_strategy import CHAMPION
from jobs.scoring import prediction_log
from jobs.times import MICROSECONDS_A_DAY, end_of, microseconds
from jobs.use_case import UseCase, problem_of

VERDICT = "verdict"
BLOCK, APPROVE = "block", "approve"


@dataclass(frozen=True, eq=False)
class PolicyLog:
    """Events whose labels are mature; every array holds a value per event."""

    labels: Bools
    """Whether an event is reported as positive."""
    amounts: Floats
    """Money at stake; 0 where none is declared."""
    clusters: Any
    """The entity of each event."""
    days: int
    """Days from the first event to the last."""
    scores: Floats
    """By the model of the other policy."""
    alerted: Bools
    """Whether it was reviewed or blocked."""
    blocked: Bools
    weights: Floats
    """How many events each one's label stands for; 0: it was not seen, or says nothing of what the champion let
    through."""
    unseen: float = 0.0
    """Share of all events whose label had no chance to be seen, as the champion blocks them."""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def latest_moment(lakehouse: Lakehouse, use_case: UseCase, now: datetime) -> datetime:
    """The moment to look from: now, or when the labels of the last logged day are mature, if that is longer ago.

    Raises:
        Invalid: nothing was logged.
    """
    table = prediction_log.table(use_case)
    days = lakehouse.to_arrow(table, columns=[PARTITION])[PARTITION] if lakehouse.exists(table) else None
    if days is None or not len(days):
        raise Invalid(f"{table}: expected a prediction log, found none; `evergreen run` scores")
    return min(now, end_of(pc.max(days).as_py()) + use_case.label_maturity)


def read(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, version: int, as_of: datetime) -> PolicyLog:
    """Mature events of the log that a model version did not learn from, with its scores.

    Args:
        as_of: not before the first logged day.

    Raises:
        Invalid: the log has no such events, or not the features of this version.
        BundleError: the registry does not hold a version any more.
    """
    bundle = champions.version(use_case, version)[1]
    rows = _logged(lakehouse, use_case, bundle, as_of)
    usable, notes = _usable(use_case, champions, bundle, rows)
    return _joined(lakehouse, use_case, bundle, rows.filter(usable), (as_of, notes))


def _logged(lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, as_of: datetime) -> pa.Table:
    """Rows of events that were decided, with the model's features."""
    table, needed = prediction_log.table(use_case), list(bundle.manifest.columns)
    has = set(lakehouse.schema(table).names)
    if missing := sorted(set(needed) - has):
        raise Invalid(f"{table}: expected all features of the model, found none of {', '.join(missing)}; decide by it "
                      "in the shadow first")  # fmt: skip
    own = [use_case.event_id, "score", "decision", "model_version", "arm", "propensity", "origin"]
    # A log of before there were decisions online has no verdicts.
    own += [VERDICT] if VERDICT in has else []
    recent = [(PARTITION, ">=", outcomes.first_day(use_case, as_of))]
    rows = lakehouse.to_arrow(table, columns=list(dict.fromkeys([*own, *needed])), filters=recent)
    return prediction_log.one_per_event(use_case, rows).sort_by(use_case.event_id)


def _usable(
    use_case: UseCase, champions: Champions, bundle: Bundle, rows: pa.Table
) -> tuple[pa.Array, tuple[str, ...]]:
    """Rows of versions that used all features of the model, and what is to be said of the others."""
    needed = bundle.manifest.columns.keys()
    versions = rows["model_version"].unique().to_pylist()
    able = [v for v in versions if needed <= champions.version(use_case, v)[1].manifest.columns.keys()]
    usable = pc.is_in(rows["model_version"], value_set=pa.array(able, pa.int64()))
    left_out = len(rows) - pc.sum(usable).as_py() if len(rows) else 0
    told = f"{left_out:,} events are left out: the models that decided them had not all features of this one"
    return usable, (told,) if left_out else ()


def _joined(
    lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, rows: pa.Table, of: tuple[datetime, tuple[str, ...]]
) -> PolicyLog:
    """The rows with their events and labels. Args: of: the moment that is looked from, and notes so far."""
    as_of, notes = of
    recent = outcomes.events(lakehouse, use_case, as_of)
    place, row = recent.places(outcomes.values(rows[use_case.event_id]))
    times = recent.labelled.times[place]
    unseen_from = microseconds(bundle.manifest.unseen_from)
    mature_until = recent.labelled.reported_until - use_case.label_maturity // timedelta(microseconds=1)
    take = (times <= mature_until) & (times > unseen_from)
    if not take.any():
        raise Invalid(f"{use_case.name}: expected mature events of after {bundle.manifest.unseen_from:%Y-%m-%d}, from "
                      "which on the model learned no more, found none; ask again when labels are in")  # fmt: skip
    place, rows, times = place[take], rows.take(row[take]), times[take]
    amounts = amounts_of(recent.table.take(place), problem_of(use_case))
    return PolicyLog(
        labels=recent.labelled.reported[place],
        amounts=np.zeros(len(place)) if amounts is None else amounts,
        clusters=outcomes.values(recent.table[use_case.cluster_key].take(place)),
        days=int(np.ptp(times // MICROSECONDS_A_DAY)) + 1,
        scores=score(bundle.session(), features_of(rows, bundle.manifest.names)).astype(np.float64),
        **_decisions(rows),
        notes=notes,
    )


def _decisions(rows: pa.Table) -> dict[str, Any]:
    named = rows[VERDICT].to_pylist() if VERDICT in rows.column_names else [None] * len(rows)
    verdicts = np.array(named, dtype=object)
    decided = pc.fill_null(rows["decision"], False).to_numpy(zero_copy_only=False).astype(np.bool_)
    blocked = verdicts == BLOCK
    online = np.array([each is not None for each in named], np.bool_)
    weights, unseen = _seen(rows["arm"].to_pylist(), rows["propensity"].to_numpy().astype(np.float64), blocked)
    alerted = np.where(online, verdicts != APPROVE, decided).astype(np.bool_)
    return {"alerted": alerted, "blocked": blocked, "weights": weights, "unseen": unseen}


def _seen(arms: list[str], propensities: Floats, blocked: Bools) -> tuple[Floats, float]:
    """How many events the label of each stands for, and the share of those whose label had no chance to be seen.

    An arm of a rollout is called ROLLOUT:NAME, its champion ROLLOUT:champion; the propensity of a rollout is that of
    the arm. Outside of rollouts it is that of what was done: an event blocked with less than 1 might have passed.
    """
    if not blocked.any():
        return np.ones(len(arms)), 0.0
    champion = np.array([arm.rpartition(":")[2] == CHAMPION for arm in arms], np.bool_)
    drawn = np.array([arm == CHAMPION for arm in arms], np.bool_) & (propensities < 1)
    stands_for = np.where(champion, 1 / propensities, 0.0)
    without = stands_for @ (blocked & ~drawn)
    return np.where(blocked, 0.0, stands_for), float(without / stands_for.sum()) if stands_for.any() else 1.0
