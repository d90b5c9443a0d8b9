"""What a use case's model is for: how it is measured and compared, which families compete, what it must respect.

Declarations only; `jobs.use_case.UseCase.problem` holds one, and a use case without one ends at its training set.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from math import isfinite
from typing import Any, Literal

from jobs.conditions import conditions
from jobs.declared_types import check
from jobs.limits import Limits
from jobs.objective import FAMILIES, OBJECTIVES, Objective, TaskName
from jobs.problem_checks import (
    family_misfits,
    groups_misfits,
    problem_misfits,
    queue_misfits,
    range_misfits,
    review_misfits,
    rule_misfits,
    search_offer_misfits,
    slice_misfits,
)
from jobs.rollout_strategy import Strategy

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["median", "hyperband", "none"]
QueueOrder = Literal["uncertainty", "cost", "largest"]
Verdict = Literal["approve", "review", "block"]
"""What becomes of an event that is decided as it comes."""


@dataclass(frozen=True)
class Review:
    """How scores are used: the threshold of a decision, alerts reviewed a day, and what one review costs (money)."""

    threshold: float
    capacity: int
    cost: float
    cards: int = 100
    block: float | None = None
    """Score from which on the decision service blocks an event at once; below it, and from `threshold` on, people
    review it. None: nothing is blocked without a person."""
    without_model: tuple[tuple[Any, Verdict], ...] = ()
    """Decisions while no model answers: conditions (`jobs.conditions.Where`) on features, and the verdict of the first
    that hold."""
    otherwise: Verdict = "review"
    """The verdict where none holds, or no features are there."""
    explored: float = field(default=0.0, repr=False)
    """Chance that the decision service lets an event that it would block be reviewed instead, to learn what it was."""
    explored_amount: float | None = field(default=None, repr=False)
    """Largest amount of such an event (money); None: no limit."""
    explored_money: float | None = field(default=None, repr=False)
    """Amounts of a day that are let through so, together and at most (money); None: no limit."""

    def __post_init__(self) -> None:
        check(self, review_misfits)


@dataclass(frozen=True)
class ReviewQueue:
    """Events of a day that people are asked about, where what is learned is no yes or no (else see `Review`)."""

    capacity: int
    """Events a day."""
    by: QueueOrder = "uncertainty"
    """Which come first: `uncertainty`, what the model is least sure of (widest interval, highest entropy); `cost`, what
    its decisions are expected to cost most by a cost matrix; `largest`, the largest predicted numbers."""

    def __post_init__(self) -> None:
        check(self, queue_misfits)


@dataclass(frozen=True)
class Range:
    """Values that tuning may try: numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    step: float | None = None
    """Distance of values; grid search needs it for numbers."""

    def __post_init__(self) -> None:
        check(self, range_misfits)


@dataclass(frozen=True)
class Family:
    """A family of models (`jobs.models.catalog.families`) and what tuning may change about it."""

    name: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that stay; those of the first training, before anything was tuned, are these and the defaults."""
    search: Mapping[str, Range | tuple[Any, ...]] = field(default_factory=dict)
    """Parameter -> range, or the values to choose from; empty: the family is trained as it is, not tuned."""
    negative_rate: float = 1.0
    """Share of negatives that are trained on, where a family is slow; the rest's weight goes to those drawn."""
    tuning_rate: float | None = None
    """The same while tuning, where many trainings count; None: `negative_rate`."""

    def __post_init__(self) -> None:
        check(self, family_misfits)


@dataclass(frozen=True)
class Slice:
    """A guard slice, or a group of the fairness report: rows whose `column` lies in [minimum, maximum) or in `values`.

    The column is one of the training set, or of a profile `source` that is joined by its key. A slice whose profile
    was never loaded does not exist.
    """

    name: str
    column: str
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    source: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        check(self, slice_misfits)


@dataclass(frozen=True)
class Groups:
    """Groups of rows, for the fairness report or as guard slices: the values of a column (of the training set, or of a
    profile `source`), or numbers cut at `edges`."""

    name: str
    column: str
    source: str | None = None
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check(self, groups_misfits)


@dataclass(frozen=True)
class Rule:
    """A baseline that a person could have written: the first of `features` ranks, the next ones break its ties; or the
    first of `cases` that holds gives the class, or the number."""

    name: str
    features: tuple[str, ...] = ()
    """Of a rule with cases, those that conditions name."""
    description: str = ""
    cases: tuple[tuple[Any, float | str], ...] = ()
    """Conditions (`jobs.conditions.Where`) on features, and the answer each."""
    otherwise: float | str | None = None
    """The answer where no case holds."""

    def __post_init__(self) -> None:
        check(self, rule_misfits)
        if self.cases:
            named = dict.fromkeys(one.column for where, _ in self.cases for one in conditions(where))
            object.__setattr__(self, "features", tuple(named))

    @property
    def answers(self) -> tuple[float | str | None, ...]:
        """Of every case, and where none holds."""
        return (*(answer for _, answer in self.cases), self.otherwise) if self.cases else ()


@dataclass(frozen=True)
class SearchOffer:
    """When the loop says that a search for features is due: quality stays below what it was before a change, though
    the change was trained for."""

    after: timedelta = timedelta(days=28)
    """Age of the change from which on that is judged; days before the last training are never judged."""
    smallest_drop: float | None = None
    """A smaller drop of the objective is no reason; None: as of an alarm (`jobs.ground_truth.performance_drop`)."""
    chance: float = 1e-3
    """Largest chance that an evening calls quality lower that is not."""

    def __post_init__(self) -> None:
        check(self, search_offer_misfits)


@dataclass(frozen=True)
class Problem:
    """The formulation of one use case's learning problem: docs/models/tasks.md."""

    families: tuple[Family, ...]
    task: TaskName = "binary"
    """What the label is: yes or no, one of several classes, or a number."""
    objective: Objective | None = None
    """What models are compared by; None: the first of the task (`jobs.objective.OBJECTIVES`)."""
    unlabelled: float | str | None = None
    """Label of an event that is mature without one; None: it has none, and is left out. An unlabelled event of a
    binary task counts as negative."""
    weight: str | None = None
    """Column of the training set that says how much a row counts, in training and in the objective; a row of weight 0
    is left out."""
    review: Review | None = None
    """The business side of a binary task: threshold, review capacity per day, cost of one review. Without it nobody is
    asked to review anything."""
    queue: ReviewQueue | None = None
    """The review queue of numbers and classes. Without it nobody is asked about them."""
    amount: str | None = None
    """Column of the money at stake in a row."""
    cluster_key: str | None = None
    """Entity whose rows share their noise, such as the card; None: every row has its own."""
    interval: float = 0.9
    """Share of the labels that the interval around a regression's prediction promises to hold."""
    rules: tuple[Rule, ...] = ()
    inputs: tuple[str, ...] = ()
    """Columns of the event itself that are features, next to those of the feature service."""
    baseline_features: tuple[str, ...] = ()
    """What the logistic regression among the baselines sees: what an analyst would have tried first. Empty: all that
    the candidate sees."""
    slices: tuple[Slice | Groups, ...] = ()
    """Guard slices; of groups, every value is one."""
    fairness: tuple[Groups, ...] = ()
    validation_window: timedelta = timedelta(days=14)
    """Length of the window that parameters are chosen on: the latest before the judged one."""
    evaluation_window: timedelta = timedelta(days=14)
    """Length of the window that candidate and champion are compared on: the latest mature rows."""
    longest_evaluation_window: timedelta = timedelta(days=56)
    """A candidate that is judged again is judged on all rows since its training, of at most this length; a training on
    thin evidence leaves as long a window to the gate as `limits` ask for, of at most this length."""
    trials: int = 30
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    parallel: int = 2
    """Trials at a time. Belongs to the search and not to the machine: another number finds other parameters."""
    reuse: float = 0.25
    """Largest relative change of rows or prevalence at which the last tuned parameters are used again."""
    retune_after: timedelta = timedelta(days=30)
    """Age at which tuned parameters are found anew, however little changed."""
    seed: int = 0
    telling: tuple[str, ...] = ()
    """Features that may tell the label nearly without error; the check for leaks leaves them out."""
    limits: Limits = field(default_factory=Limits)
    """What a candidate must keep to become champion, and how sure the gate must be."""
    search_offer: SearchOffer = field(default_factory=SearchOffer)
    """When a search for features is offered after a change (docs/models/feature-search.md)."""
    approval: Literal["automatic", "manual", "rollout"] = "automatic"
    """Whether a candidate that passed is champion at once, waits for a person, or is brought in by `rollout`. The first
    champion, beside whom nobody is, needs no rollout."""
    rollout: Strategy = field(default_factory=Strategy, repr=False)
    """How it is brought in then, and by `evergreen rollout start` where that says no other way."""
    first: Literal["provisional", "manual"] = "provisional"
    """What happens to the best first model if the evidence is too thin to judge it: it is champion provisionally, or
    waits for `evergreen approve`."""
    predictions_due: timedelta = timedelta(hours=6)
    """Deadline of a day's nightly predictions, counted from the end of the day (see `jobs.alerts.freshness`)."""

    def __post_init__(self) -> None:
        check(self, lambda problem: chain(problem_misfits(problem), problem._unknown_to_task()))

    @property
    def measured_by(self) -> Objective:
        """The objective as declared, or the usual one of the task."""
        return self.objective or Objective(OBJECTIVES[self.task][0])

    @property
    def threshold(self) -> float:
        """Score from which on a decision is positive: of the review, or where both decisions are expected to cost the
        same (Elkan, IJCAI 2001, equation 2)."""
        if self.review or self.measured_by.name != "cost":
            return self.review.threshold if self.review else 0.5
        costs = {(true, chosen): cost for true, chosen, cost in self.measured_by.costs}
        false_alarm = costs.get(("false", "true"), 0.0) - costs.get(("false", "false"), 0.0)
        miss = costs.get(("true", "false"), 0.0) - costs.get(("true", "true"), 0.0)
        return false_alarm / (false_alarm + miss) if false_alarm > 0 and miss > 0 else 0.5

    @property
    def capacity(self) -> int:
        """Events that are reviewed a day; 0 without a review or a queue."""
        reviewed = self.review or self.queue
        return reviewed.capacity if reviewed else 0

    def _unknown_to_task(self) -> Iterator[str]:
        for expected, found in self._misfits():
            yield f"{self.task} expects {expected}, found {found}; correct the declaration"

    def _misfits(self) -> Iterator[tuple[str, object]]:
        """What was declared that the task does not know: what it expects, and what was found."""
        for family in self.families:
            if family.name not in FAMILIES[self.task]:
                yield f"families among {', '.join(FAMILIES[self.task])}", family.name
        if self.measured_by.name not in OBJECTIVES[self.task]:
            yield f"an objective among {', '.join(OBJECTIVES[self.task])}", self.measured_by.name
        if not 0.5 <= self.interval < 1:
            yield "an interval of 0.5 to 1", self.interval
        yield from self._misfits_of_rules()
        if self.task == "binary":
            if self.unlabelled is not None:
                yield "no label for unlabelled events, which count as negative", f"unlabelled={self.unlabelled!r}"
            if self.queue is not None:
                yield "a review instead of a queue, as the likeliest yes comes first", self.queue
            return
        if self.review is not None:
            yield "a queue instead of a review, which is about the highest scores of a yes-or-no question", self.review
        if self.queue is not None and self.queue.by == "cost" and self.measured_by.name != "cost":
            yield "a cost matrix as the objective of a queue by cost", self.measured_by.name
        if self.queue is not None and self.queue.by == "largest" and self.task != "regression":
            yield "a queue by uncertainty or cost, as classes have no largest", "largest"
        if rate := next((f for f in self.families if f.negative_rate < 1 or (f.tuning_rate or 1) < 1), None):
            yield "families trained on all rows, as it has no negatives", f"{rate.name} with a rate below 1"
        if self.fairness:
            yield "no fairness groups, which compare yes-or-no decisions", [groups.name for groups in self.fairness]
        if self.unlabelled is not None and not _fits(self.task, self.unlabelled):
            yield "a class as text, or a finite number, as the label of unlabelled events", repr(self.unlabelled)

    def _misfits_of_rules(self) -> Iterator[tuple[str, object]]:
        for rule in self.rules:
            if self.task == "binary" and rule.cases:
                yield "rules that rank rows, without cases", rule.name
            elif self.task == "multiclass" and not rule.cases:
                yield "rules of cases, as no feature ranks classes", rule.name
            elif wrong := [answer for answer in rule.answers if not _fits(self.task, answer)]:
                yield f"answers of rule {rule.name} that are classes as text, or finite numbers", repr(wrong[0])

    def family(self, name: str) -> Family:
        """The family as declared; with nothing fixed if it is not."""
        return next((f for f in self.families if f.name == name), Family(name))


def _fits(task: TaskName, value: object) -> bool:
    """Whether a value can be a label of a task with classes or numbers."""
    if task == "multiclass":
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
