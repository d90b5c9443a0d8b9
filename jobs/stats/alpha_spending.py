"""How sure each of many looks has to be, so that all of them together err as rarely as is asked (alpha spending).

Whoever looks every night at equal models finds one of them better by chance some night. Each look therefore spends a
part of one allowance, and the parts of endlessly many looks add up to it: by Bonferroni's inequality the chance that
any look errs is within the allowance, whether looks share rows or not and whoever decides when the last one is (after
Lan & DeMets, Biometrika 70, 1983, who spend over time in this way). What is compared, and counting looks, belongs
elsewhere.
"""

import math
from dataclasses import dataclass

from jobs.errors import Invalid


@dataclass(frozen=True)
class Look:
    """One of many looks at the same question."""

    number: int
    """Counted from 1."""
    alpha: float
    """Largest chance that any of the looks errs, between 0 and 1."""

    def __post_init__(self) -> None:
        if not (self.number >= 1 and 0 < self.alpha < 1):
            raise Invalid(
                f"look: expected a number from 1 on and an alpha in (0, 1), found {self.number} and {self.alpha}; "
                "count this look too, and declare what may be spent"
            )

    @property
    def level(self) -> float:
        """One-sided confidence that is asked of this look."""
        return 1 - self.alpha * (share_spent(self.number) - share_spent(self.number - 1))

    @property
    def spent(self) -> float:
        """What this look and those before it have spent of alpha."""
        return self.alpha * share_spent(self.number)

    @property
    def evidence(self) -> dict[str, float]:
        """The look as the ledger holds it with what it decided."""
        return {"number": self.number, "level": self.level, "spent": self.spent, "alpha": self.alpha}


def share_spent(looks: int) -> float:
    """Share of alpha that so many looks have spent: 0 for none, always below 1.

    1 - 1 / sqrt(1 + looks): .29 at the first look, which decides most often, .90 after 100, .95 after 365. Each look
    gets a part that falls with its number to the power of 1.5, just fast enough for a sum.
    """
    return 1 - 1 / math.sqrt(1 + looks)
