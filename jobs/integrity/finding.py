"""What a check of a home found damaged, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.errors import EvergreenError


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written."""

    place: str
    """The table, model or database, and the file in it."""
    found: str
    """What was expected, and what was found."""
    mend: str
    """The command that mends it."""

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; mend it by `{self.mend}`"


class HomeDamaged(EvergreenError, RuntimeError):
    """Files of a home are not as they were written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)
