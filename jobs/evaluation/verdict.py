"""The gate's verdict: checks with their numbers and messages, and whether a candidate may become champion.

Which checks there are: see `jobs.evaluation.gate` and `jobs.evaluation.challenger_gate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CheckOutcome = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True)
class GateCheck:
    """One condition of promotion: its outcome with the numbers behind it."""

    name: str
    outcome: CheckOutcome
    message: str
    """The outcome in plain words."""
    numbers: Mapping[str, float] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """The check as the ledger holds it, where the message has the key `said`."""
        return {"name": self.name, "outcome": self.outcome, "said": self.message, "numbers": dict(self.numbers)}

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> "GateCheck":
        """The check that `stored` returned."""
        return cls(stored["name"], stored["outcome"], stored["said"], stored["numbers"])


@dataclass(frozen=True)
class GateVerdict:
    """The gate's checks of a candidate; it may become champion if none failed."""

    checks: tuple[GateCheck, ...]
    about: Mapping[str, Any]
    """Contenders, numbers of rows and limits."""

    @property
    def promoted(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the candidate is refused, in plain words."""
        return tuple(check.message for check in self.checks if check.outcome == "failed")

    @property
    def evidence(self) -> dict[str, Any]:
        """Checks, reasons and `about`, ready for `json.dumps`."""
        checks = {c.name: {"outcome": c.outcome, "said": c.message, **c.numbers} for c in self.checks}
        return {"promoted": self.promoted, "reasons": list(self.reasons), **self.about, "checks": checks}
