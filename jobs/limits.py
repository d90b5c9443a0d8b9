"""The limits that a candidate must keep, as a `Problem` declares them. For the checks see `jobs.evaluation.gate`."""

from dataclasses import dataclass
from math import isfinite

from jobs.errors import Invalid

RESAMPLES_BEYOND = 5
"""Fewer resamples beyond a quantile do not determine it."""
RESAMPLES = 200
"""Fewer do not determine a standard error to 5 %."""


@dataclass(frozen=True)
class Limits:
    """The limits that a candidate must keep, and how sure the gate must be."""

    latency_ms: float = 5.0
    """Of a single request, at the 99th percentile."""
    size_bytes: float = 50e6
    """Of what is served."""
    training_noise: float | None = None
    """Standard deviation of the objective between trainings that differ in nothing but the seed, see
    `jobs.evaluation.seed_noise`; 0 where training is deterministic. None: recorded with the candidate, or measured, as
    resampled rows do not contain this noise."""
    parity_error: float = 1e-4
    level: float = 0.95
    """One-sided confidence that a candidate is better, in all looks at one champion together: of champions that are
    challenged by equals, 5 % are ever replaced by one. How it is parted among looks: `jobs.stats.alpha_spending`."""
    slice_alarm: float = 0.1
    """Largest chance that a candidate which is equal in every slice is refused because of one. A better candidate is
    hardly ever refused, so that a large chance costs little and finds more."""
    resamples: int = 1000
    rows: int = 1000
    positive_blocks: int = 30
    """Smallest number of blocks with a positive for which a bootstrap of blocks is reliable."""
    slice_positive_blocks: int = 5
    """A slice with fewer blocks with a positive is not judged on its own; its check is "not judged"."""
    seed: int = 0

    def __post_init__(self) -> None:
        alarms = 0 < self.slice_alarm < 1 and self.resamples * self.slice_alarm >= RESAMPLES_BEYOND
        if not (0.5 <= self.level < 1 and alarms and self.resamples >= RESAMPLES):
            raise Invalid(
                f"limits: expected level in [0.5, 1), slice_alarm in (0, 1) with {RESAMPLES_BEYOND} resamples beyond "
                f"it, and {RESAMPLES} resamples, found {self.level}, {self.slice_alarm} and {self.resamples} "
                "resamples; correct them"
            )
        amounts = {name: getattr(self, name) for name in ("latency_ms", "size_bytes", "training_noise", "parity_error")}
        known = {name: value for name, value in amounts.items() if value is not None}
        if wrong := {name: value for name, value in known.items() if not (isfinite(value) and value >= 0)}:
            raise Invalid(f"limits: expected finite numbers >= 0, found {wrong}; set what you can accept")

    def enough(self, rows: int, positives: int, positive_blocks: int) -> bool:
        """Whether so many rows, with negatives and with positives in so many blocks, are enough to judge a model on."""
        return 0 < positives < rows and rows >= self.rows and positive_blocks >= self.positive_blocks
