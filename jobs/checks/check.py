"""A check of what an asset has made, and its outcome as people read it. How each one is judged is in the other modules.

A check says what was expected and what was found. One that has nothing to look at yet says so and passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Number = int | float | str


@dataclass(frozen=True)
class Check:
    """What has to hold, under one name, wherever it is checked."""

    name: str
    description: str
    severity: Literal["error", "warning"] = "error"
    blocking: bool = False
    """Whether a failure holds back everything downstream: only where something wrong would be served otherwise."""

    def outcome(self, passed: bool, expected: str, found: str, **numbers: Number) -> Outcome:
        """The outcome of a look at what was made, in Python's own types: Dagster takes none of numpy's."""
        own = {name: value.item() if isinstance(value, np.generic) else value for name, value in numbers.items()}
        return Outcome(self, bool(passed), expected, found, own)

    def not_judged(self, why: str) -> Outcome:
        """The outcome where there is nothing to look at."""
        return Outcome(self, True, "", f"not judged: {why}")


@dataclass(frozen=True)
class Outcome:
    """What was found."""

    check: Check
    passed: bool
    expected: str
    """Empty: it was not judged."""
    found: str
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One sentence."""
        return f"expected {self.expected}, found {self.found}" if self.expected else self.found

    @property
    def holds_back(self) -> bool:
        """Whether nothing may be made of what was checked."""
        return self.check.blocking and not self.passed
