"""All that is known of one arm: findings of health and outcomes, what it earned, figures of the business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jobs.rollout_strategy import Strategy
from jobs.rollouts import business, findings
from jobs.rollouts.business import BusinessMetric
from jobs.rollouts.findings import Finding
from jobs.rollouts.labelled_arms import LabelledArms
from jobs.rollouts.labelled_losses import LabelledLosses
from jobs.rollouts.labelled_pairs import LabelledPairs
from jobs.rollouts.paired_scores import PairedScores

Labelled: TypeAlias = LabelledPairs | LabelledArms | LabelledLosses


@dataclass(frozen=True)
class ArmFindings:
    """What is known of one arm."""

    events: int
    """That both models scored; without shadows, that the arm answered."""
    findings: Sequence[Finding]
    money: tuple[float, float] = (0.0, 0.0)
    """Mean gain of an event over the champion, and its standard error."""
    business: Sequence[BusinessMetric] = ()

    @classmethod
    def of(cls, pairs: PairedScores, labelled: Labelled, strategy: Strategy) -> ArmFindings:
        """labelled: of the same events."""
        events = int((pairs.both if strategy.shadows else pairs.answered).sum())
        health, live = findings.of_health(pairs, strategy), business.live(pairs)
        found = [*health, *findings.of_outcomes(labelled, strategy)]
        return cls(events, found, labelled.gain(), [*live, *business.matured(labelled)])

    @property
    def is_bad(self) -> bool:
        return any(each.outcome == "bad" for each in self.findings)

    @property
    def is_better(self) -> bool:
        """Whether it is shown to earn more, or, where nothing earns money, to err less."""
        return any(each.name in ("money", "gain") and each.outcome == "good" for each in self.findings)

    def get(self, name: str) -> Finding | None:
        """A finding by its name; None: it is not looked at."""
        return next((each for each in self.findings if each.name == name), None)

    def shows(self, name: str) -> bool:
        """Whether a finding is good, or is not looked at in this use case."""
        found = self.get(name)
        return found is None or found.outcome == "good"
