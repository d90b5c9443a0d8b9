"""Automatic rollback of a promotion that is worse than its predecessor on mature labels; the ledger holds the reason.

The comparison itself is in `jobs.retraining.predecessor`.
"""

from __future__ import annotations

from datetime import datetime

from jobs.datasets import history
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import Champion, PromotionDecision
from jobs.promotion import approvals, promote
from jobs.promotion.approvals import Person
from jobs.promotion.promote import Registry
from jobs.registry.champion_bundles import Champions
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.predecessor import PredecessorComparison, ScoresOfRows, Succession, compare_with_predecessor
from jobs.use_case import UseCase


def check(
    lakehouse: Lakehouse, use_case: UseCase, registry: Registry, champions: Champions, as_of: datetime, now: datetime
) -> tuple[PredecessorComparison, PromotionDecision | None]:
    """Compare the champion with its predecessor on the same mature rows, and roll back if the predecessor is better.

    Only automatic promotions are rolled back: a version that a person approved or restored stays.

    Returns:
        The comparison, and the decision of the rollback (None: the champion stays).

    Raises:
        ValueError: there is no history.
    """
    settings = lakehouse.settings
    ledger = promotions.view(settings, use_case)
    present, former = ledger.champion, ledger.previous
    if present is None or former is None:
        return PredecessorComparison(False, "there is no former champion to compare with"), None
    if present.since > as_of:
        return PredecessorComparison(
            False, f"version {present.version} is in production only since {present.since.isoformat()}"
        ), None
    cause = next(d for d in ledger.decisions if d.id == present.decision)
    if cause.kind != "promotion":
        return PredecessorComparison(
            False, f"version {present.version} is in production by {cause.kind}, of {cause.by}"
        ), None
    rows = history.read(lakehouse, use_case)

    def scores(champion: Champion) -> ScoresOfRows:
        model = champions.model(use_case, champion.version, champion.sha256, rows.names, rows.task)
        return lambda chosen: model.predict(rows.features[chosen])

    delay = MonitoredHistory.of(rows, use_case).delay(as_of)
    succession = Succession(scores(present), scores(former), present.since)
    comparison = compare_with_predecessor(rows, use_case, succession, delay, as_of)
    if not comparison.worse:
        return comparison, None
    person = Person(promote.AUTOMATIC, True, now, as_of)
    decision = approvals.rollback(settings, use_case, registry, person, comparison.message, former.version)
    promote.reconcile(settings, use_case, registry)
    return comparison, decision
