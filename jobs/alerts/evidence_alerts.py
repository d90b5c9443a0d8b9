"""Alerts about evidence: one per test while it alarms, and one per promotion that was taken back."""

from __future__ import annotations

from datetime import datetime

from jobs.alerts import outbox
from jobs.alerts.outbox import Alert
from jobs.ledger.feature_searches import DueSearch
from jobs.ledger.promotions import PromotionDecision
from jobs.retraining.policy import Evidence
from jobs.settings import Settings
from jobs.use_case import UseCase

CHANGE, ROLLBACK, SEARCH = "change", "rollback", "feature_search"
"""Kinds of alerts; their subjects are the test that alarms, the version that was taken back, and the change after which
quality stays low."""


def settle(settings: Settings, use_case: UseCase, evidence: Evidence, now: datetime) -> None:
    """Send alerts for the tests that alarm, and resolve those of tests that no longer do."""
    outbox.settle(settings, use_case.name, CHANGE, [_alarm(use_case, evidence, test) for test in evidence.alarms], now)


def rolled_back(settings: Settings, use_case: UseCase, decision: PromotionDecision, now: datetime) -> None:
    """Send an alert that a champion was replaced by its predecessor; an event, and so resolved at once."""
    message = (
        f"Version {decision.champion_version} of {use_case.name} was taken back, version {decision.model_version} is "
        f"in production again: {decision.reason}. Look at the promotion's evidence before it is tried again."
    )
    evidence = {"decision": decision.id, "restored": decision.model_version}
    subject = f"version {decision.champion_version}"
    outbox.send(settings, Alert(use_case.name, ROLLBACK, subject, message, "error", decision.as_of, evidence), now)
    outbox.resolve(settings, use_case.name, ROLLBACK, subject, now)


def settle_search(settings: Settings, use_case: UseCase, due: DueSearch | None, now: datetime) -> None:
    """Send an alert that a search for features is due, and resolve it once none is."""
    outbox.settle(settings, use_case.name, SEARCH, [_search(use_case, due)] if due else [], now)


def _search(use_case: UseCase, due: DueSearch) -> Alert:
    message = (
        f"Trainings were expected to bring the quality of {use_case.name} back, but {due.message}. Run `evergreen "
        f"features search --use-case {use_case.name}`, or the job {use_case.name}_feature_search, and read its patch."
    )
    numbers = {"before": due.before, "after": due.after}
    return Alert(use_case.name, SEARCH, f"change of {due.changed_on}", message, "warning", due.as_of, numbers)


def _alarm(use_case: UseCase, evidence: Evidence, test: str) -> Alert:
    named = ", ".join(list(evidence.named.get(test, ()))[:5])
    message = (
        f"The world of {use_case.name} was expected to stay as it was, but {test} says since {evidence.changed_on} "
        f"that it did not{f' ({named})' if named else ''}: look at monitoring/evidence, and what retraining decides."
    )
    details = {"score": evidence.scores[test], "versions": dict(evidence.versions)}
    return Alert(use_case.name, CHANGE, test, message, "warning", evidence.as_of, details)
