"""A promotion that turned out worse on mature labels is taken back, by itself; the ledger says why."""

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
from jobs.retraining.predecessor import Hindsight, Scores, hindsight
from jobs.use_case import UseCase


def check(
    lakehouse: Lakehouse, use_case: UseCase, registry: Registry, champions: Champions, as_of: datetime, now: datetime
) -> tuple[Hindsight, PromotionDecision | None]:
    """Compare the champion's outcomes with what its predecessor's would have been, and go back if those are better.

    Only a promotion is taken back, not a person's choice: who was approved or restored by hand stays.

    Raises:
        ValueError: there is no history.
    """
    settings = lakehouse.settings
    book = promotions.book(settings, use_case)
    present, former = book.champion, book.previous
    if present is None or former is None:
        return Hindsight(False, "there is no former champion to compare with"), None
    if present.since > as_of:
        return Hindsight(
            False, f"version {present.version} is in production only since {present.since.isoformat()}"
        ), None
    why = next(d for d in book.decisions if d.id == present.decision)
    if why.kind != "promotion":
        return Hindsight(False, f"version {present.version} is in production by {why.kind}, of {why.by}"), None
    seen = history.read(lakehouse, use_case)

    def scores(champion: Champion) -> Scores:
        model = champions.model(use_case, champion.version, champion.sha256, seen.names)
        return lambda chosen: model.predict(seen.features[chosen])

    delay = MonitoredHistory.of(seen, use_case).delay(as_of)
    found = hindsight(seen, use_case, scores(present), scores(former), delay, present.since, as_of)
    if not found.worse:
        return found, None
    person = Person(promote.AUTOMATIC, True, now, as_of)
    decision = approvals.rollback(settings, use_case, registry, person, found.said, former.version)
    promote.reconcile(settings, use_case, registry)
    return found, decision
