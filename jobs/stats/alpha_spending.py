"""How sure each of many looks has to be, so that all of them together err as rarely as is asked (alpha spending).

Whoever looks every night at equal models finds one of them better by chance some night. Each look therefore spends a
part of what is left of one allowance, so that endlessly many looks spend no more than all of it: by Bonferroni's
inequality the chance that any look errs is within the allowance, whether looks share rows or not and whoever decides
when the last one is (after Lan & DeMets, Biometrika 70, 1983, who spend over time in this way). A look knows which part
it spends before it is taken. What is compared, and counting looks, belongs elsewhere.
"""

import math
from dataclasses import dataclass, replace

from jobs.errors import Invalid

DOUBTED_PART = 2 / 3
"""Of what is left, that a look spends at a champion whom an alarm speaks against: it is needed now, and few follow."""
HIGHEST_LEVEL = 1 - 2**-50
"""Levels above it would be 1 in double precision. Looks there spend less than a trillionth each."""


@dataclass(frozen=True)
class Look:
    """One of many looks at the same question, as the ledger holds it."""

    number: int
    """Counted from 1."""
    level: float
    """One-sided confidence that is asked of this look."""
    spent: float
    """What this look and those before it have spent of alpha."""
    alpha: float
    """Largest chance that any of the looks errs, between 0 and 1."""

    @property
    def evidence(self) -> dict[str, float]:
        """The look as it is kept with what it decided."""
        return dict(vars(self))

    def shared(self, contenders: int) -> "Look":
        """The look for each of several contenders, of which the best passes by chance as rarely as one alone would."""
        return replace(self, level=1 - (1 - self.level) / contenders)


def ordinary(number: int, alpha: float) -> Look:
    """The look of this number at a champion whom no alarm spoke against.

    Raises:
        ValueError: numbers begin at 1, and alpha lies between 0 and 1.
    """
    return _look(number, alpha, 1 - 1 / math.sqrt(max(number, 1)), False)


def following(last: Look | None, alpha: float, doubted: bool = False) -> Look:
    """The look after `last`; None: the first one.

    Args:
        doubted: an alarm speaks against the champion.
    """
    number, before = (last.number + 1, min(last.spent / last.alpha, 1.0)) if last else (1, 0.0)
    return _look(number, alpha, before, doubted)


def _look(number: int, alpha: float, before: float, doubted: bool) -> Look:
    """Args: before: share of alpha that earlier looks have spent."""
    if not (number >= 1 and 0 < alpha < 1):
        raise Invalid(
            f"look: expected a number from 1 on and an alpha in (0, 1), found {number} and {alpha}; "
            "count this look too, and declare what may be spent"
        )
    part = DOUBTED_PART if doubted else _part(number)
    level = min(1 - alpha * (1 - before) * part, HIGHEST_LEVEL)
    return Look(number, level, alpha * (1 - (1 - before) * (1 - part)), alpha)


def _part(number: int) -> float:
    """What the look of this number spends of what is left, unless the champion is in doubt.

    1 / sqrt(1 + n) is left after n such looks: .71 after the first, which decides most often, .10 after 100, .05 after
    365. Each gets a part of the whole that falls with its number to the power of 1.5, just fast enough for a sum.
    """
    return 1 - math.sqrt(number / (number + 1))
