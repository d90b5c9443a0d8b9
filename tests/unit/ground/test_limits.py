"""Limits of the gate that could not be held are refused when they are declared."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.limits import Limits

LIMITS = Limits(latency_ms=5, size_bytes=1e7, training_noise=0.0, resamples=250)
WRONG: list[dict[str, Any]] = [
    {"level": 1.0}, {"level": 0.4}, {"resamples": 100}, {"slice_alarm": 0.0}, {"training_noise": -1.0},
    {"latency_ms": float("inf")},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_limits_that_cannot_be_held_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limits: expected"):
        replace(LIMITS, **wrong)
