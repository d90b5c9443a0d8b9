"""What each promotion of a replay would have cost and gained, had the new model been brought in step by step.

A replay puts a model before everybody at once. Here each of its promotions is lived through again, by itself: the
former champion and the new one score the days after it, every evening `jobs.rollouts.verdict` looks at what is known by
then, delayed labels included, and each customer is answered by whom its share says. What the replay decided later is
left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from jobs.arrays import Bools, Floats
from jobs.backtesting.replay_log import Day
from jobs.datasets.history import History
from jobs.decisions.lots import lot
from jobs.errors import Invalid
from jobs.ledger.rollouts import LAST, Arm, Change, Rollout
from jobs.problem import Review
from jobs.rollout_strategy import Strategy
from jobs.rollouts.arm_findings import ArmFindings
from jobs.rollouts.labelled_pairs import KnownOutcomes, labelled_pairs
from jobs.rollouts.paired_scores import OfModel, PairedScores
from jobs.rollouts.verdict import judge
from jobs.times import NEVER, microseconds, midnight
from jobs.use_case import UseCase, problem_of, review_of

LONGEST_DAYS = 60
"""A rollout that is not decided by then is told as undecided."""
NEW, AT_ONCE = "new", "at once"


@dataclass(frozen=True)
class _Course:
    """How a promotion would have gone by a strategy."""

    strategy: str
    verdict: str
    days: int
    """Until the verdict."""
    money: float
    """What the decisions of the days looked at earned, by the labels known in the end."""
    money_of_former: float
    """The same if nothing had changed."""
    exposed: float
    """Share of the events that the new model answered."""


@dataclass(frozen=True)
class Brought:
    """The same of one promotion of a replay."""

    date: date
    """The evening of the promotion."""
    version: int
    instead_of: int
    strategy: str
    verdict: str
    days: int
    money: float
    money_of_former: float
    exposed: float


@dataclass(frozen=True, eq=False)
class _Window:
    """The days after a promotion: events in order, and what both models make of them."""

    use_case: UseCase
    history: History
    rows: slice
    ends: Sequence[tuple[datetime, int]]
    """Evening of each day, and how many events there are by then."""
    former: Floats
    new: Floats

    def pairs(self, count: int, share: float) -> PairedScores:
        """The first events as the log of a rollout would have them."""
        threshold = review_of(self.use_case).threshold
        never = np.zeros(count, np.bool_)
        sides = [
            OfModel(~never, never, scores[:count], scores[:count] >= threshold, never, np.zeros(count))
            for scores in (self.former, self.new)
        ]
        stamps = self.history.times[self.rows][:count]
        return PairedScores(list(range(count)), stamps, never, np.full(count, share), *sides)

    def outcomes(self, evening: datetime, count: int) -> KnownOutcomes:
        """What is known of them on an evening."""
        known = self.history.labels_at(evening)[self.rows][:count] == 1
        mature = self.history.times[self.rows][:count] <= microseconds(evening - self.use_case.label_maturity)
        return KnownOutcomes(known, mature, self.history.blocks[self.rows][:count], self.amounts[:count])

    @property
    def amounts(self) -> Floats:
        found = self.history.amounts_of(self.rows)
        return np.zeros(len(self.new)) if found is None else np.asarray(found, np.float64)


def lived_through(
    use_case: UseCase,
    history: History,
    days: Sequence[Day],
    predict: Callable[[int, slice], Floats],
    strategies: Sequence[Strategy],
) -> list[Brought]:
    """Every promotion of a replay by every strategy, and at once.

    Args:
        predict: scores of a version for rows of the history.

    Raises:
        Invalid: the use case declares no review, so that decisions come to no money.
    """
    review = review_of(use_case)
    if problem_of(use_case).task != "binary":
        raise Invalid(
            f"{use_case.name}: expected a yes-or-no task, found {problem_of(use_case).task}; leave out --rollout"
        )
    found = []
    for place, day in enumerate(days):
        if not day.champion_version or day.next_champion <= day.champion_version:
            continue
        window = _window(use_case, history, days[place + 1 :], (day.champion_version, day.next_champion), predict)
        if window is not None:
            promoted = date.fromisoformat(day.date)
            found += [
                Brought(promoted, day.next_champion, day.champion_version, **vars(each))
                for each in _by_each(window, review, strategies, promoted)
            ]
    return found


def frame(brought: Sequence[Brought]) -> pl.DataFrame:
    """A row for each promotion and strategy."""
    return pl.DataFrame([vars(each) for each in brought], infer_schema_length=None)


def summary(brought: pl.DataFrame) -> pl.DataFrame:
    """A row for each strategy: verdicts, days, and money gained over the former champion, in all and at the worst."""
    if brought.is_empty():
        return brought
    gained = brought.with_columns(gain=pl.col("money") - pl.col("money_of_former"))
    return gained.group_by("strategy", maintain_order=True).agg(
        promotions=pl.len(),
        completed=(pl.col("verdict") == "completed").sum(),
        rolled_back=(pl.col("verdict") == "rolled back").sum(),
        median_days=pl.col("days").median(),
        money_gained=pl.col("gain").sum(),
        worst_promotion=pl.col("gain").min(),
    )


def _window(
    use_case: UseCase,
    history: History,
    after: Sequence[Day],
    versions: tuple[int, int],
    predict: Callable[[int, slice], Floats],
) -> _Window | None:
    """The days until the next model, and no more than the longest rollout; None if there are no events."""
    kept = [day for day in after[:LONGEST_DAYS] if day.champion_version == versions[1]]
    if not kept:
        return None
    first, last = (midnight(date.fromisoformat(day.date)) for day in (kept[0], kept[-1]))
    bounds = np.searchsorted(history.times, [microseconds(first), microseconds(last + timedelta(days=1))])
    rows = slice(int(bounds[0]), int(bounds[1]))
    evenings = [first + timedelta(days=number + 1) for number in range((last - first).days + 1)]
    counts = np.searchsorted(history.times[rows], [microseconds(evening) for evening in evenings])
    if not counts[-1]:
        return None
    ends = list(zip(evenings, map(int, counts), strict=True))
    former, new = (np.asarray(predict(version, rows), np.float64) for version in versions)
    return _Window(use_case, history, rows, ends, former, new)


def _by_each(window: _Window, review: Review, strategies: Sequence[Strategy], day: date) -> Iterator[_Course]:
    lots = np.array([lot(f"replay {day}", int(block)) for block in window.history.blocks[window.rows]])
    former = _money(window, review, np.zeros(len(lots), np.bool_))
    everybody = np.ones(len(lots), np.bool_)
    yield _Course(AT_ONCE, "completed", 0, _money(window, review, everybody), former, 1.0)
    for strategy in strategies:
        verdict, days, shares = _lived(window, review, strategy)
        answered = lots < np.repeat(shares, np.diff([count for _, count in window.ends], prepend=0))
        money, exposed = _money(window, review, answered), float(answered.mean())
        yield _Course(strategy.kind, verdict, days, money, former, exposed)


def _lived(window: _Window, review: Review, strategy: Strategy) -> tuple[str, int, list[float]]:
    """The verdict, after how many days, and the share of the new model on each day."""
    start, shares = window.ends[0][0] - timedelta(days=1), []
    rollout = _rollout(strategy, start)
    for number, (evening, count) in enumerate(window.ends):
        share = rollout.last_running.shares[NEW]
        shares.append(share)
        verdict = judge(rollout, {NEW: _found(window, review, strategy, evening, count)}, evening)
        if verdict.kind in LAST:
            last = float(verdict.kind == "completed")
            return verdict.kind, number + 1, shares + [last] * (len(window.ends) - len(shares))
        if verdict.kind is not None:
            made = Change(verdict.kind, verdict.shares, "", "replay", evening)
            rollout = replace(rollout, changes=(*rollout.changes, made))
    return "undecided", len(window.ends), shares


def _rollout(strategy: Strategy, start: datetime) -> Rollout:
    share = strategy.steps[0] if strategy.kind == "canary" else 0.0
    first = Change("started", {NEW: share}, "", "replay", start)
    return Rollout("", "replay", strategy.stored, (Arm(NEW, 0, "", ""),), 0, "", 0.0, 1.0, start, 0, (first,))


def _found(window: _Window, review: Review, strategy: Strategy, evening: datetime, count: int) -> ArmFindings:
    pairs = window.pairs(count, 0.5)
    labelled = labelled_pairs(pairs, window.outcomes(evening, count), review)
    return ArmFindings.of(pairs, labelled, strategy)


def _money(window: _Window, review: Review, by_new: Bools) -> float:
    """Amounts of the frauds that were alerted about, less the cost of all alerts, by the labels known in the end."""
    truth = window.history.labels.at(NEVER - 1, len(window.history))[window.rows] == 1
    alerts = np.where(by_new, window.new, window.former) >= review.threshold
    return float(window.amounts[alerts & truth].sum() - review.cost * alerts.sum())
