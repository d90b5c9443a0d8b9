"""What a check of a home found damaged, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.errors import EvergreenError

EXPORTED_MODEL, DROP_ROWS = "exported model", "--drop-rows"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written."""

    place: str
    """The table, model or database, and the file in it."""
    found: str
    """What was expected, and what was found."""
    mend: str
    """The command that mends it."""

    @property
    def is_of_export(self) -> bool:
        """Whether it is about the exported model, which a run exports again."""
        return self.place.startswith(EXPORTED_MODEL)

    @property
    def is_of_decisions(self) -> bool:
        """Whether it is about the ledger."""
        return self.place.startswith("ledger:")

    @property
    def is_of_kept_rows(self) -> bool:
        """Whether it is about rows that nothing makes again."""
        return self.mend.endswith(DROP_ROWS)

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; mend it by `{self.mend}`"


class HomeDamaged(EvergreenError, RuntimeError):
    """Files of a home are not as they were written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)
