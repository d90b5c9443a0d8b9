"""What can be said of an arm so far: of its failures, its speed, its scores, and of how its events turned out.

Every finding is a confidence sequence, so that all looks at it together miss with the chance that the strategy allows;
the chance is parted evenly among the findings. Those of health need no labels and speak within minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.rollout_strategy import Strategy
from jobs.rollouts.labelled_arms import LabelledArms
from jobs.rollouts.labelled_losses import LabelledLosses
from jobs.rollouts.labelled_pairs import LabelledPairs
from jobs.rollouts.paired_scores import PairedScores
from jobs.stats.bounded_means import of_bounded_mean
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking, of_weighted_mean

Outcome = Literal["bad", "good", "open"]
FINDINGS = 6
"""Among which the chance of an error is parted."""
SLOWER = 3.0
"""Times the champion's 95th percentile."""
LAST = slice(-1, None)
USUAL_EVENTS, USUAL_POSITIVES = 500, 200
"""Observations at which intervals are tightest: where verdicts of health, and of outcomes, are usually made."""


@dataclass(frozen=True)
class Finding:
    """One thing that is known of an arm."""

    name: str
    outcome: Outcome
    """bad: the arm must not go on; good: it is shown to be as it should; open: not enough is known."""
    said: str
    observations: int
    estimate: float
    lower: float
    upper: float

    @property
    def span(self) -> str:
        """The interval, for people."""
        return "nothing yet" if np.isinf(self.lower) else f"{self.lower:.3g} to {self.upper:.3g}"


def of_health(pairs: PairedScores, strategy: Strategy) -> list[Finding]:
    """Failures, slowness, share of alerts and order of scores, by the events so far."""
    return [_failures(pairs, strategy), _slowness(pairs, strategy), _alerts(pairs, strategy), _order(pairs, strategy)]


def of_outcomes(labelled: LabelledPairs | LabelledArms | LabelledLosses, strategy: Strategy) -> list[Finding]:
    """Quality and money, by the events whose outcome is known; without shadows money alone, without a review quality
    and what is gained in it."""
    if isinstance(labelled, LabelledLosses):
        return _losses(labelled, strategy)
    money = _money(labelled, strategy)
    return [money] if isinstance(labelled, LabelledArms) else [_quality(labelled, strategy), money]


def _failures(pairs: PairedScores, strategy: Strategy) -> Finding:
    known = pairs.arm.failed[pairs.arm.known]
    return _at_most("failures", "fails at {:.1%} of the events", known, strategy.most_failures, strategy)


def _slowness(pairs: PairedScores, strategy: Strategy) -> Finding:
    took, usual = (side.microseconds[np.isfinite(side.microseconds)] for side in (pairs.arm, pairs.champion))
    limit = max(strategy.slow_ms * 1e3, SLOWER * float(np.quantile(usual, 0.95)) if len(usual) else 0.0)
    said = f"takes more than {limit / 1e3:.3g} ms at {{:.1%}} of the events"
    return _at_most("slowness", said, took > limit, strategy.most_slow, strategy)


def _alerts(pairs: PairedScores, strategy: Strategy) -> Finding:
    both, most = pairs.both, strategy.most_alerts
    differs = pairs.arm.alerts[both].astype(float) - pairs.champion.alerts[both]
    found = of_bounded_mean(differs, (-1.0, 1.0), _looking(strategy), 0.1, LAST)
    estimate, lower, upper = _last(found)
    outcome: Outcome = "bad" if lower > most or upper < -most else "good" if -most < lower and upper < most else "open"
    said = f"does not approve {estimate:+.1%} of the events more than the champion"
    return Finding("alerts", outcome, said, len(differs), estimate, lower, upper)


def _order(pairs: PairedScores, strategy: Strategy) -> Finding:
    """Of pairs of events, one after the other: how often both models rank them alike."""
    both = pairs.both
    one, other = (_steps(side.scores[both]) for side in (pairs.champion, pairs.arm))
    told = one != 0
    alike = 0.5 + 0.5 * np.sign(one[told]) * np.sign(other[told])
    estimate, lower, upper = _last(of_bounded_mean(alike, (0.0, 1.0), _looking(strategy), places=LAST))
    outcome: Outcome = "bad" if upper < 0.5 else "good" if lower > 0.5 else "open"
    said = f"ranks {estimate:.0%} of pairs of events as the champion does"
    return Finding("order", outcome, said, int(told.sum()), estimate, lower, upper)


def _steps(scores: Floats) -> Floats:
    """Differences between the events of pairs that have none in common."""
    even = len(scores) // 2 * 2
    steps: Floats = scores[1:even:2] - scores[0:even:2]
    return steps


def _quality(labelled: LabelledPairs, strategy: Strategy) -> Finding:
    gains, of = labelled.quality_gains(), labelled.labels
    looking = _looking(strategy, USUAL_POSITIVES)
    estimate, lower, upper = _last(of_weighted_mean(gains, labelled.weights[of], looking, labelled.clusters[of]))
    outcome: Outcome = "bad" if upper < 0 else "good" if lower > -strategy.margin else "open"
    said = f"{labelled.measure} {estimate:+.4f} by the champion's"
    return Finding("quality", outcome, said, len(gains), estimate, lower, upper)


def _losses(labelled: LabelledLosses, strategy: Strategy) -> list[Finding]:
    """Quality: losses are no larger than the champion's but for a share `margin` of these. Gain: they are smaller."""
    usual = float(labelled.champion.mean()) if len(labelled.champion) else 0.0
    estimate, lower, upper = _last(labelled.sequence(_looking(strategy, USUAL_EVENTS)))
    said, of = f"{labelled.measure} {-estimate:+.4g} by the champion's {usual:.4g}", len(labelled.gains)
    quality: Outcome = "bad" if upper < 0 else "good" if lower > -strategy.margin * usual else "open"
    gain: Outcome = "good" if lower > 0 else "open"
    return [
        Finding("quality", quality, said, of, estimate, lower, upper),
        Finding("gain", gain, said, of, estimate, lower, upper),
    ]


def _money(labelled: LabelledPairs | LabelledArms, strategy: Strategy) -> Finding:
    estimate, lower, upper = _last(labelled.money(_looking(strategy, 10 * USUAL_EVENTS)))
    outcome: Outcome = "bad" if upper < 0 else "good" if lower > 0 else "open"
    said = f"earns {estimate:+.4g} an event more"
    return Finding("money", outcome, said, len(labelled.labels), estimate, lower, upper)


def _at_most(name: str, said: str, bad: Bools, most: float, strategy: Strategy) -> Finding:
    """A share that must not be larger than `most`."""
    spread = (most * (1 - most)) ** 0.5
    found = of_bounded_mean(np.asarray(bad, np.float64), (0.0, 1.0), _looking(strategy), spread, LAST)
    estimate, lower, upper = _last(found)
    outcome: Outcome = "bad" if lower > most else "good" if upper < most else "open"
    return Finding(name, outcome, said.format(estimate), len(bad), estimate, lower, upper)


def _looking(strategy: Strategy, tightest_at: float = USUAL_EVENTS) -> Looking:
    return Looking((1 - strategy.level) / FINDINGS, tightest_at)


def _last(found: ConfidenceSequence) -> tuple[float, float, float]:
    """Estimate and ends after the last observation; nothing is known without one."""
    if not len(found.estimate):
        return 0.0, -np.inf, np.inf
    return float(found.estimate[-1]), float(found.lower[-1]), float(found.upper[-1])


def in_words(findings: list[Finding], outcome: Outcome) -> str:
    """The sentences of the findings with one outcome."""
    return "; ".join(_sentences(findings, outcome))


def _sentences(findings: list[Finding], outcome: Outcome) -> Iterator[str]:
    for each in findings:
        if each.outcome == outcome:
            yield f"{each.said} ({each.span}, {each.observations} observations)"
