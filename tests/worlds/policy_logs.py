"""Logs of a policy that blocks, with some let through by lot, of events whose truth a test knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.off_policy.policy_log import PolicyLog

BLOCK, LET_THROUGH = 0.6, 0.25
"""Score from which on the log's policy blocks, and the chance that such an event is let through all the same."""


@dataclass(frozen=True, eq=False)
class Events:
    """Events, as if all labels were known."""

    labels: np.ndarray
    amounts: np.ndarray
    logged: np.ndarray
    """Scores of the policy of the log."""
    other: np.ndarray
    """Scores of the other policy."""
    customers: np.ndarray

    def money_saved(self, threshold: float, cost: float) -> float:
        """By alerts of the other policy, for an event."""
        return float(np.mean((self.other >= threshold) * (self.labels * self.amounts - cost)))

    def of(self, customers: np.ndarray) -> Events:
        """Events of these customers; of one who is named twice, twice, as of two customers."""
        order = np.argsort(self.customers, kind="stable")
        first = np.searchsorted(self.customers[order], customers, side="left")
        end = np.searchsorted(self.customers[order], customers, side="right")
        names = np.repeat(np.arange(len(customers)), end - first)
        take = order[np.concatenate([np.arange(*each) for each in zip(first, end, strict=True)])]
        return Events(self.labels[take], self.amounts[take], self.logged[take], self.other[take], names)

    def log(self, generator: np.random.Generator, days: int = 10) -> PolicyLog:
        """What a log would have of them."""
        suspected = self.logged >= BLOCK
        through = generator.random(len(suspected)) < LET_THROUGH
        blocked = suspected & ~through
        return PolicyLog(
            # Nobody reports what was blocked.
            labels=self.labels & ~blocked,
            amounts=self.amounts,
            clusters=self.customers,
            days=days,
            scores=self.other,
            alerted=self.logged >= 0.3,
            blocked=blocked,
            weights=np.where(blocked, 0.0, np.where(suspected, 1 / LET_THROUGH, 1.0)),
        )


def events(seed: int, count: int = 20_000) -> Events:
    """Two models that see the same risk with noise of their own; customers differ in risk."""
    generator = np.random.default_rng(seed)
    customers = generator.integers(0, count // 10, count)
    risk = 1 / (1 + np.exp(4 - generator.normal(0, 0.7, count // 10)[customers] - generator.normal(0, 2, count)))
    logit = np.log(risk) - np.log1p(-risk)
    logged, other = (1 / (1 + np.exp(-logit - generator.normal(0, noise, count))) for noise in (0.6, 0.4))
    amounts = generator.gamma(2, 25, count) * (1 + risk)
    return Events(generator.random(count) < risk, amounts, logged, other, customers)
