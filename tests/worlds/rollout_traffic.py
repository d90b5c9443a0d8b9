"""Traffic of a rollout, drawn: what champion and candidate make of the same events, and how these turn out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.rollouts.labelled_pairs import KnownOutcomes
from jobs.rollouts.paired_scores import OfModel, PairedScores
from jobs.times import MICROSECONDS_A_DAY, microseconds

START = datetime(2026, 5, 1, tzinfo=UTC)
MATURITY = timedelta(days=7)


@dataclass(frozen=True)
class Candidate:
    """What is true of a candidate, beside a champion whose average precision is about .75."""

    signal: float = 3.0
    """How far positives stand out; the champion's is 3.0."""
    fails: float = 0.0
    milliseconds: float = 0.2
    inverted: bool = False


EQUAL, BETTER, WORSE = Candidate(), Candidate(3.1), Candidate(2.9)
"""By .00, +.03 and -.03 of average precision."""
ERRORS, SLOW, INVERTED = Candidate(fails=0.3), Candidate(milliseconds=20.0), Candidate(inverted=True)


@dataclass(frozen=True, eq=False)
class Traffic:
    """Days of events."""

    pairs: PairedScores
    outcomes: KnownOutcomes

    def until(self, now: datetime) -> Traffic:
        """What is known of it at a moment."""
        seen = self.pairs.stamps < microseconds(now)
        mature = self.pairs.stamps <= microseconds(now - MATURITY)
        known = replace(self.outcomes, is_mature=mature)
        return Traffic(_taken(self.pairs, seen), _taken(known, seen))


def traffic(candidate: Candidate, share: float, days: int, a_day: int, seed: int) -> Traffic:
    """Independent events; the noise of both models has a correlation of .9, as that of two trainings has."""
    chance = np.random.default_rng(seed)
    n = days * a_day
    labels = chance.random(n) < 0.02
    common, own, other = chance.normal(size=(3, n))
    champion = 3.0 * labels + 0.9**0.5 * common + 0.1**0.5 * own
    arm = candidate.signal * labels + 0.9**0.5 * common + 0.1**0.5 * other
    answered = chance.random(n) < share
    failed = chance.random(n) < candidate.fails
    stamps = microseconds(START) + np.sort(chance.integers(0, days * MICROSECONDS_A_DAY, n))
    customers = chance.integers(0, n // 8, n).astype(str)
    took = chance.lognormal(np.log(candidate.milliseconds * 1e3), 0.3, n)
    pairs = PairedScores(
        list(range(n)), stamps, answered, np.full(n, share),
        side(_score(champion), np.zeros(n, np.bool_), chance.lognormal(np.log(200), 0.3, n)),
        side(_score(-arm if candidate.inverted else arm), failed, took),
    )  # fmt: skip
    amounts = np.where(labels, chance.lognormal(4.5, 0.8, n), chance.lognormal(4.0, 0.8, n))
    return Traffic(pairs, KnownOutcomes(labels, np.zeros(n, np.bool_), customers, amounts))


def side(scores: Floats, failed: Bools, microseconds: Floats) -> OfModel:
    scores = np.where(failed, np.nan, scores)
    return OfModel(
        np.ones(len(scores), np.bool_), failed, scores, scores >= 0.5, np.zeros(len(scores), np.bool_),
        np.where(failed, np.nan, microseconds),
    )  # fmt: skip


def _score(logit: Floats) -> Floats:
    score: Floats = 1 / (1 + np.exp(-(2.2 * logit - 5.0)))
    return score


def _taken(of: Any, rows: Bools) -> Any:
    """A value whose arrays are cut to some rows."""
    taken = {}
    for name, value in vars(of).items():
        if isinstance(value, list):
            taken[name] = [one for one, take in zip(value, rows, strict=True) if take]
        elif isinstance(value, OfModel):
            taken[name] = _taken(value, rows)
        elif value is not None:
            taken[name] = value[rows]
    return replace(of, **taken)
