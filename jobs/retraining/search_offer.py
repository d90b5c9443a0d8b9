"""Whether a search for features is due: quality stays below what it was before a change that was trained for.

Features that were chosen for the world before may not show what is new, and no training can then bring quality back.
Quality is measured as an alarm of a drop measures it (`jobs.ground_truth.performance_drop`), on mature days: those
before the change against the latest ones after the last training: while trainings follow each other, the change is
being learned. The offer stands until quality is back, or until a search ran (`jobs.feature_search`); nothing is
searched, let alone declared, by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from jobs.ground_truth import performance_drop
from jobs.ground_truth.performance_drop import RECENT_DAYS
from jobs.ledger import feature_searches
from jobs.ledger.feature_searches import DueSearch
from jobs.problem import SearchOffer
from jobs.retraining import decisions as retraining
from jobs.retraining.label_evidence import smallest_drop
from jobs.retraining.policy import RetrainingDecision
from jobs.settings import Settings
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Task
from jobs.use_case import UseCase, problem_of

RECOVERED = 0.5
"""Quality is back once it is below that of before by less than this share of the smallest drop that opens an offer: on
the line itself an offer would come and go."""


def settle(
    settings: Settings, use_case: UseCase, quality: Mapping[date, float], as_of: datetime, now: datetime
) -> DueSearch | None:
    """Record in the ledger that a search is due, or no longer; returns the one that is due.

    Args:
        quality: day -> the objective of mature days, on a scale where more is better.

    A moment before one that was decided about changes nothing, as a night may be built again.
    """
    recorded, decided = feature_searches.rows(settings, use_case.name), retraining.rows(settings, use_case)
    standing = feature_searches.open_one(recorded)
    known = standing.due if standing else None
    if any(as_of < row.decision.as_of <= now for row in decided):
        return known
    searched = {row.due.changed_on for row in recorded if row.outcome == "searched"}
    due = due_search(quality, retraining.history(decided, as_of, now), as_of, use_case, known, searched)
    if standing is not None and due is None:
        feature_searches.end(settings, standing, "recovered", f"quality is back as of {as_of:%Y-%m-%d}", now)
    elif due is not None and known is None:
        feature_searches.record(settings, use_case.name, due, now)
    return due


def due_search(
    quality: Mapping[date, float],
    decisions: Sequence[RetrainingDecision],
    as_of: datetime,
    use_case: UseCase,
    standing: DueSearch | None,
    searched: Collection[date] = (),
) -> DueSearch | None:
    """The search that is due at `as_of`; None: none is.

    Args:
        decisions: about trainings, oldest first; of later moments they are not looked at.
        standing: the search that was due until now, which ends when quality is back only.
        searched: first days of changes after which a search ran.
    """
    problem = problem_of(use_case)
    offer, task = problem.search_offer, task_of(problem)
    if standing is not None:
        return None if _is_back(quality, standing, offer, task) else standing
    trained = [decision for decision in decisions if decision.retrain and decision.as_of < as_of]
    changes = dict.fromkeys(decision.episode for decision in reversed(trained) if decision.episode)
    for change in changes:
        if change not in searched and as_of.date() - change >= offer.after:
            latest = [day for day in sorted(quality) if day >= trained[-1].as_of.date()][-RECENT_DAYS:]
            if lower := _lower(quality, change, latest, offer, task):
                return DueSearch(change, task.words, *lower, latest[0], latest[-1], as_of)
    return None


def _lower(
    quality: Mapping[date, float], change: date, latest: Sequence[date], offer: SearchOffer, task: Task
) -> tuple[float, float] | None:
    """The objective before a change and on the latest days, if it is lower there beyond noise."""
    past = [quality[day] for day in sorted(quality) if day < change]
    latest_values = [quality[day] for day in latest]
    drop = performance_drop.compared(past, latest_values, offer.smallest_drop or smallest_drop(task), offer.chance)
    return (task.gain(drop.before), task.gain(drop.recent)) if drop is not None and drop.score >= 1 else None


def _is_back(quality: Mapping[date, float], standing: DueSearch, offer: SearchOffer, task: Task) -> bool:
    """Whether the latest mature days are about as good as those before the change."""
    latest = [quality[day] for day in sorted(quality) if day > standing.changed_on][-RECENT_DAYS:]
    if len(latest) < RECENT_DAYS - 2:
        return False
    before = task.gain(standing.before)
    least = performance_drop.least_drop(before, offer.smallest_drop or smallest_drop(task))
    return before - sum(latest) / len(latest) < RECOVERED * least
