"""What the gate answers: checks with their numbers in plain words, and whether a candidate is promoted by them.

Which checks there are: see `jobs.evaluation.gate` and `jobs.evaluation.challenger_gate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True)
class Check:
    """One condition of promotion, with its numbers."""

    name: str
    outcome: Outcome
    said: str
    """The outcome in plain words."""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Promoted if no check failed."""

    checks: tuple[Check, ...]
    about: Mapping[str, Any]
    """Contenders, numbers of rows and limits."""

    @property
    def promoted(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the candidate is refused, in plain words."""
        return tuple(check.said for check in self.checks if check.outcome == "failed")

    @property
    def evidence(self) -> dict[str, Any]:
        """Everything above, ready for `json.dumps`."""
        checks = {c.name: {"outcome": c.outcome, "said": c.said, **c.numbers} for c in self.checks}
        return {"promoted": self.promoted, "reasons": list(self.reasons), **self.about, "checks": checks}
