"""What the declarations of a problem must hold besides the types of their fields, each by itself.

Each function tells what does not: what was expected, what was found and what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.problem import Family, Groups, Problem, Range, Review, ReviewQueue, Rule, SearchOffer, Slice

NONE = timedelta(0)


def review_misfits(review: Review) -> Iterator[str]:
    if not 0 <= review.threshold <= 1:
        yield f"threshold: expected a score of 0 to 1, found {review.threshold}; correct it"
    if review.block is not None and not review.threshold <= review.block <= 1:
        yield f"block: expected a score from the threshold {review.threshold} to 1, found {review.block}; correct it"
    least = min(review.explored_amount or 0, review.explored_money or 0)
    if not 0 <= review.explored < 1 or least < 0:
        found = f"{review.explored}, {review.explored_amount} and {review.explored_money}"
        yield f"explored: expected a chance from 0 to below 1 and amounts of 0 or more, found {found}; correct them"
    if review.explored and review.block is None:
        yield "explored: expected a score from which on events are blocked, found none; declare block"
    if review.capacity < 0 or review.cards < 1 or review.cost < 0:
        found = f"{review.capacity}, {review.cost} and {review.cards}"
        yield f"expected capacity and cost of 0 or more and at least one card, found {found}; correct them"


def queue_misfits(queue: ReviewQueue) -> Iterator[str]:
    if queue.capacity < 1:
        yield f"capacity: expected at least 1 event a day, found {queue.capacity}; correct it, or declare no queue"


def range_misfits(values: Range) -> Iterator[str]:
    if values.low > values.high:
        yield f"expected low <= high, found {values.low} and {values.high}; exchange them"
    if values.log and values.low <= 0:
        yield f"expected low > 0 for a logarithmic range, found {values.low}; raise it, or drop log"
    if values.step is not None and values.step <= 0:
        yield f"step: expected more than 0, found {values.step}; correct it"
    if values.log and values.step is not None:
        yield f"expected either log or a step, found both ({values.step}); drop one"
    numbers = [number for number in (values.low, values.high, values.step) if number is not None]
    if values.integer and any(number != int(number) for number in numbers):
        yield f"expected whole numbers, found {numbers}; correct them, or drop integer"


def family_misfits(family: Family) -> Iterator[str]:
    yield from _named(family.name)
    for what, rate in (("negative_rate", family.negative_rate), ("tuning_rate", family.tuning_rate)):
        if rate is not None and not 0 < rate <= 1:
            yield f"{what}: expected a share above 0 and at most 1, found {rate}; correct it"
    for name, values in family.search.items():
        if values == ():
            yield f"search: expected a range or values of {name}, found none; name some, or put it into fixed"


def slice_misfits(part: Slice) -> Iterator[str]:
    yield from _named(part.name)
    bounded = (part.minimum, part.maximum) != (None, None)
    if bounded == bool(part.values):
        found = f"{part.minimum}, {part.maximum} and {part.values}"
        yield f"expected either minimum or maximum, or values, found {found}; say which rows it is of"
    if part.minimum is not None and part.maximum is not None and part.minimum >= part.maximum:
        yield f"expected minimum < maximum, found {part.minimum} and {part.maximum}; such a slice has no rows"


def groups_misfits(groups: Groups) -> Iterator[str]:
    yield from _named(groups.name)
    if any(later <= earlier for earlier, later in pairwise(groups.edges)):
        yield f"edges: expected ascending numbers, found {groups.edges}; sort them"


def rule_misfits(rule: Rule) -> Iterator[str]:
    yield from _named(rule.name)
    if rule.cases and rule.otherwise is None:
        yield "otherwise: expected the answer where no case holds, found none; say one"
    if not (rule.features or rule.cases):
        yield "features: expected at least one, found none; name the feature that ranks"


def search_offer_misfits(offer: SearchOffer) -> Iterator[str]:
    if offer.after < NONE:
        yield f"after: expected 0 or more, found {offer.after!r}; correct it"
    if offer.smallest_drop is not None and offer.smallest_drop <= 0:
        yield f"smallest_drop: expected more than 0 or None, found {offer.smallest_drop!r}; correct it"
    if not 0 < offer.chance < 0.5:
        yield f"chance: expected between 0 and 0.5, found {offer.chance!r}; correct it"


def problem_misfits(problem: Problem) -> Iterator[str]:
    """Of what every task has; what a task itself expects is told by the problem."""
    if not problem.families:
        yield "families: expected at least one, found none; declare a family, such as Family('boosted')"
    for what, declared in (("families", problem.families), ("rules", problem.rules), ("slices", problem.slices),
                           ("fairness", problem.fairness)):  # fmt: skip
        if twice := _twice(each.name for each in declared):
            yield f"{what}: expected distinct names, found {twice} twice; rename one"
    for name in ("inputs", "baseline_features", "telling"):
        if twice := _twice(getattr(problem, name)):
            yield f"{name}: expected distinct columns, found {twice} twice; name each once"
    for name in ("validation_window", "evaluation_window", "retune_after", "predictions_due"):
        if getattr(problem, name) <= NONE:
            yield f"{name}: expected more than 0, found {getattr(problem, name)!r}; correct it"
    if problem.longest_evaluation_window < problem.evaluation_window:
        found = f"{problem.longest_evaluation_window} and {problem.evaluation_window}"
        yield f"expected longest_evaluation_window of at least evaluation_window, found {found}; lengthen it"
    if problem.trials < 0 or problem.parallel < 1 or problem.reuse < 0 or problem.seed < 0:
        found = f"{problem.trials}, {problem.parallel}, {problem.reuse} and {problem.seed}"
        yield f"expected trials, reuse and seed of 0 or more and parallel of 1 or more, found {found}; correct them"


def _named(name: str) -> Iterator[str]:
    if not name:
        yield "name: expected a name, found an empty text; name it"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
