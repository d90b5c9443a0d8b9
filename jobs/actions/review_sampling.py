"""Which events of a day are worth a reviewer's time: pure picks from scores, within a daily capacity.

Most of the capacity goes to the highest risk, some to what the model is least sure of (uncertainty sampling: Lewis &
Gale, SIGIR 1994; Settles, Active Learning, 2012, chapter 2), a little to chance, so that unsuspected events are seen
too. Queues of a use case are in `jobs.actions.review_queue`, what reviewers answer in
`jobs.actions.verdicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Bools, Floats, Ints
from jobs.errors import Invalid

Reason = Literal["risk", "uncertainty", "random", "cost", "largest"]


@dataclass(frozen=True)
class Shares:
    """Shares of the capacity by reason; the rest goes to the highest risk.

    Raises:
        ValueError: shares that are negative or more than all of it, an entity that may not be picked at all, or less
            than nothing that was reviewed.
    """

    uncertainty: float = 0.2
    random: float = 0.05
    per_entity: int = 3
    """Largest number of events of one entity that risk and uncertainty pick of a day: the tenth payment of a card adds
    little to the third."""
    taken: int = 0
    """Events that were reviewed before, in place of as many that would be picked by value."""

    def __post_init__(self) -> None:
        if (
            min(self.uncertainty, self.random) < 0
            or self.uncertainty + self.random > 1
            or self.per_entity < 1
            or self.taken < 0
        ):
            raise Invalid(f"review shares: expected parts of 1 and one event of an entity at least, found {self}")

    def parted(self, capacity: int) -> tuple[int, int, int]:
        """How many events of a capacity are picked by value, by uncertainty and by lot."""
        left = max(0, capacity - self.taken)
        unsure, drawn = int(capacity * self.uncertainty), int(capacity * self.random)
        unsure = min(unsure, left)
        drawn = min(drawn, left - unsure)
        return left - drawn - unsure, unsure, drawn


def live_room(capacity: int) -> int:
    """How many events of a day's capacity are reviewed while they are fresh: the night's doubts and lots are kept."""
    return Shares().parted(capacity)[0]


@dataclass(frozen=True, eq=False)
class Queue:
    """Picked events, in the order in which they are to be looked at; one value per pick."""

    rows: Ints
    """Places of the picks in the arrays of scores."""
    reasons: tuple[Reason, ...]
    propensities: Floats
    """Chance of the event to be in the queue: 1 if its score put it there, that of the lot if it was drawn."""

    def __len__(self) -> int:
        return len(self.rows)


def queue(
    scores: Floats,
    threshold: float,
    capacity: int,
    day: date,
    *,
    amounts: Floats | None = None,
    entities: ArrayLike | None = None,
    reviewed: Bools | None = None,
    shares: Shares = Shares(),
    seed: int = 0,
) -> Queue:
    """The queue of a day of probabilities, by `ordered`.

    Risk is the expected loss, score x amount, or the score where there are no amounts; uncertainty is nearness of the
    score to the threshold.

    Args:
        scores: probabilities, shape (events,).

    Raises:
        ValueError: a negative capacity, or a score that is not a number.
    """
    risk: tuple[Reason, Floats] = ("risk", scores if amounts is None else scores * amounts)
    doubts = -np.abs(scores - threshold)
    return ordered(risk, doubts, capacity, day, entities=entities, reviewed=reviewed, shares=shares, seed=seed)


def ordered(
    first: tuple[Reason, Floats],
    doubts: Floats,
    capacity: int,
    day: date,
    *,
    entities: ArrayLike | None = None,
    reviewed: Bools | None = None,
    shares: Shares = Shares(),
    seed: int = 0,
) -> Queue:
    """The queue of a day: as many events as capacity allows, or all; the same for the same day and seed.

    Of equals the earlier row comes first. What an entity's limit leaves free is drawn by lot.

    Args:
        first: why most events are picked, and the numbers of which the largest come first, shape (events,).
        doubts: how unsure the model is, of which the largest come first, shape (events,).
        entities: such as the card of each event.
        reviewed: events that are not to be picked, as their labels are known already.

    Raises:
        ValueError: a negative capacity, or a number that is none.
    """
    reason, values = first
    if capacity < 0 or np.isnan(values).any() or np.isnan(doubts).any():
        raise Invalid(f"review queue: expected a capacity >= 0 and finite scores, found {capacity}; score again")
    entity = np.arange(len(values)) if entities is None else np.unique(np.asarray(entities), return_inverse=True)[1]
    unreviewed = np.ones(len(values), np.bool_) if reviewed is None else ~reviewed
    picking = _Picking(unreviewed, entity, shares.per_entity)
    by_value, unsure, drawn = shares.parted(capacity)
    risky = picking.first(np.argsort(-values, kind="stable"), by_value)
    doubtful = picking.first(np.argsort(-doubts, kind="stable"), unsure)
    others = np.flatnonzero(picking.unreviewed)
    count = min(by_value + unsure + drawn - len(risky) - len(doubtful), len(others))
    lot = np.random.default_rng((seed, day.toordinal())).choice(others, count, replace=False)
    chance = count / max(1, len(others))
    why: tuple[tuple[Reason, int], ...] = ((reason, len(risky)), ("uncertainty", len(doubtful)), ("random", count))
    return Queue(
        np.concatenate([risky, doubtful, lot]).astype(np.intp),
        tuple(reason for reason, number in why for _ in range(number)),
        np.concatenate([np.ones(len(risky) + len(doubtful)), np.full(count, chance)]),
    )


@dataclass(eq=False)
class _Picking:
    """The events that are still to be picked from, and how many of each entity were."""

    unreviewed: Bools
    entity: Ints
    per_entity: int
    picked: Counter[int] = field(default_factory=Counter)

    def first(self, order: Iterable[int], count: int) -> list[int]:
        """The first `count` unreviewed places in this order, within the limit of their entities; they are picked."""
        places: list[int] = []
        for place in order:
            if len(places) == count:
                break
            entity = int(self.entity[place])
            if self.unreviewed[place] and self.picked[entity] < self.per_entity:
                places.append(int(place))
                self.picked[entity] += 1
                self.unreviewed[place] = False
        return places
