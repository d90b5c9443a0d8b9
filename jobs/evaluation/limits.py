"""What the gate asks of a candidate, in numbers. Whether it is met: see `jobs.evaluation.gate`."""

from dataclasses import dataclass
from math import isfinite

RESAMPLES_BEYOND = 5
"""Fewer resamples beyond a quantile say little about where it is."""


@dataclass(frozen=True)
class Limits:
    """What is asked of a candidate."""

    latency_ms: float
    size_bytes: float
    training_noise: float
    """Standard deviation of the objective between trainings that differ in nothing but the seed, see
    `jobs.evaluation.seed_noise`;
    0 where training is deterministic. No default: resampled rows know nothing of it."""
    parity_error: float = 1e-4
    level: float = 0.98
    """Confidence, one-sided, that the candidate is better. Of equal candidates 2 % pass and 5 % may: with some dozens
    of blocks a bootstrap is a little too sure of itself."""
    slice_alarm: float = 0.1
    """Largest chance that a candidate which is equal in every slice is refused for any. One that is better hardly ever
    is, so that a wide alarm costs little and finds more."""
    resamples: int = 1000
    rows: int = 1000
    positive_blocks: int = 30
    """Least number of blocks with a positive, that a bootstrap of blocks can be trusted."""
    slice_positive_blocks: int = 5
    """A slice with fewer is not judged on its own, and the verdict says so."""
    seed: int = 0

    def __post_init__(self) -> None:
        rarer = min(1 - self.level, self.slice_alarm)
        if not (0.5 <= self.level < 1 and 0 < self.slice_alarm < 1 and self.resamples * rarer >= RESAMPLES_BEYOND):
            raise ValueError(
                f"limits: expected level in [0.5, 1), slice_alarm in (0, 1) and {RESAMPLES_BEYOND} resamples "
                f"beyond each, found "
                f"{self.level}, {self.slice_alarm} and {self.resamples} resamples; correct them"
            )
        amounts = {name: getattr(self, name) for name in ("latency_ms", "size_bytes", "training_noise", "parity_error")}
        if wrong := {name: value for name, value in amounts.items() if not (isfinite(value) and value >= 0)}:
            raise ValueError(f"limits: expected finite numbers >= 0, found {wrong}; set what you can accept")
