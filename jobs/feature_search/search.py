"""A search for features: from a use case and a moment to what is proposed, and what was tried without success.

Nothing is declared or stored here: a person applies the patch (`jobs.feature_search.patch`), and the gate decides about
the model that is trained on it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from jobs.feature_search import feature_columns, search_rows
from jobs.feature_search.feature_columns import Columns
from jobs.feature_search.search_rows import SearchRows
from jobs.feature_search.selection import Group, Report, Selection, pruned, select
from jobs.feature_search.space import Candidate, candidates, with_all_entities, without
from jobs.feature_search.trees import Difference, Judge
from jobs.lakehouse.tables import Lakehouse
from jobs.tasks.task import Task
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

WORTH = 1e-4
"""Objective that a microsecond of processor time has to bring; of a loss, as a share of it."""


@dataclass(frozen=True)
class Proposal:
    """A candidate that helps, in the windows in which it does."""

    candidate: Candidate
    difference: Difference
    """What it brought when it was added, beside what was chosen before it."""
    microseconds: float
    """Processor time of its features for one event, in bulk."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    as_of: datetime
    task: Task
    """With the objective that it was judged by."""
    proposals: tuple[Proposal, ...]
    before: tuple[float, ...]
    """The objective in each period of trees that see what is there already."""
    after: tuple[float, ...]
    """Of trees that see the proposed features too."""
    difference: Difference | None
    """Of the two; None if nothing is proposed."""
    selection: Selection
    rows: int
    positives: int
    """Rows to judge on whose labels are evidence."""
    seconds: float

    def summary(self) -> dict[str, Any]:
        """What was tried, found and measured, ready for `json.dumps`."""
        refused = self.selection.refused.items()
        return {
            "as_of": self.as_of.isoformat(),
            "objective": self.task.objective.name,
            self.task.objective.name: {"before": self.before, "after": self.after},
            "proposed": [_told(proposal) for proposal in self.proposals],
            "not_beyond_noise": {name: _numbers(difference) for name, difference in refused},
            "not_tried": self.selection.not_tried,
            "ended": self.selection.ended,
            "rows": self.rows,
            "positives": self.positives,
            "seconds": round(self.seconds, 1),
        }


def search(
    lakehouse: Lakehouse,
    use_case: UseCase,
    as_of: datetime,
    seconds: float,
    from_nothing: bool = False,
    report: Report = lambda _: None,
    changed_on: date | None = None,
) -> Found:
    """Search at most about so many `seconds`; what was found by then is proposed.

    Args:
        from_nothing: start from the event's own numbers, not from the declared features.
        changed_on: first day of a change since which the declared features are not enough.

    Raises:
        ValueError: as `search_rows.read`.
    """
    began = time.monotonic()
    use_case = with_all_entities(use_case)
    rows = search_rows.read(lakehouse, use_case, as_of, changed_on)
    base = feature_columns.declared(lakehouse, use_case, rows, from_nothing)
    columns, offered = _offered(lakehouse, use_case, rows, base, from_nothing)
    report(f"{len(offered)} candidates, {len(rows.ids):,} of the events")
    judge, names = Judge(rows, columns), list(base)
    selection = select(judge, names, [group for _, group in offered.values()], began + seconds, report)
    kept = pruned(judge, names, [group for group, _ in selection.chosen])
    brought = {group.name: difference for group, difference in selection.chosen}
    smaller = [(group.name, _narrowed(use_case, offered[group.name][0], group.columns)) for group in kept]
    costs = [_cost(lakehouse, use_case, candidate, rows) for _, candidate in smaller]
    quality, task = judge.quality(names), judge.task
    proposals = [
        Proposal(candidate, brought[name], cost) for (name, candidate), cost in zip(smaller, costs, strict=True)
    ]
    unit = 1.0 if task.greater_is_better else sum(quality) / len(quality)
    worthy = tuple(p for p in proposals if p.difference.mean >= WORTH * p.microseconds * unit)
    after = [*names, *(name for p in worthy for name in _group(use_case, p.candidate).columns)]
    difference = judge.difference(after, names) if worthy else None
    positives = sum(int(task.informative(period.valid_labels).sum()) for period in rows.periods)
    spent = time.monotonic() - began
    return Found(
        as_of, task, worthy, quality, judge.quality(after), difference, selection, len(rows.ids), positives, spent
    )


def _offered(
    lakehouse: Lakehouse, use_case: UseCase, rows: SearchRows, base: Columns, from_nothing: bool
) -> tuple[Columns, dict[str, tuple[Candidate, Group]]]:
    """The values of all features, and the candidates that differ from what is there, each with its features."""
    considered = _without_declared(use_case) if from_nothing else use_case
    found = candidates(considered, feature_columns.facts(use_case, rows))
    columns = feature_columns.of_candidates(lakehouse, use_case, rows, found)
    known = {values.tobytes() for values in base.values()}
    new = {name for name, values in columns.items() if values.tobytes() not in known}
    offered = {}
    for candidate in found:
        group = _group(use_case, candidate)
        if kept := tuple(name for name in group.columns if name in new):
            offered[group.name] = _narrowed(use_case, candidate, kept), Group(group.name, kept)
    return {**base, **columns}, offered


def _declaration(use_case: UseCase, candidate: Candidate) -> WindowFeatures:
    return next(windows for windows in use_case.windows if windows.name == candidate.windows)


def _without_declared(use_case: UseCase) -> UseCase:
    empty = [replace(windows, aggregates=(), ratios=()) for windows in use_case.windows]
    return replace(use_case, windows=tuple(empty))


def _group(use_case: UseCase, candidate: Candidate) -> Group:
    return Group(str(candidate.aggregate.name), candidate.columns(_declaration(use_case, candidate)))


def _narrowed(use_case: UseCase, candidate: Candidate, columns: Sequence[str]) -> Candidate:
    """The candidate with those of its windows whose features are among `columns`."""
    declared = _declaration(use_case, candidate)
    narrowed = without(declared, candidate, set(candidate.columns(declared)) - set(columns))
    assert narrowed is not None
    return narrowed


def _cost(lakehouse: Lakehouse, use_case: UseCase, candidate: Candidate, rows: SearchRows) -> float:
    return feature_columns.cost(lakehouse, _declaration(use_case, candidate), candidate, rows)


def _told(proposal: Proposal) -> dict[str, Any]:
    aggregate = proposal.candidate.aggregate
    return {
        "feature": aggregate.name,
        "of": proposal.candidate.windows,
        "windows": [str(window) for window in aggregate.windows],
        **_numbers(proposal.difference),
        "microseconds": round(proposal.microseconds, 3),
    }


def _numbers(difference: Difference) -> dict[str, Any]:
    return {
        "difference": round(difference.mean, 5),
        "by_period": [round(value, 5) for value in difference.by_period],
        "lower": round(difference.lower, 5),
    }
