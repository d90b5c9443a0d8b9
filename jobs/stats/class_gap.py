"""Whether values of two classes stand apart, as what was made of a label does from what was not.

An honest measurement, such as an amount with a limit above which all is fraud, has values just below and just above
that limit; what was made of a label has a gap.
"""

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.stats.chance_errors import OtherFeatures
from jobs.stats.metrics import average_precision

SINGLE = 0.98
"""Average precision from which on values with a gap are too good to be true."""
OUTLIERS, FLIPPED = 0.02, 0.05
"""Share of a class that may lie on the wrong side of a gap, and of one in which there is nothing: where rare labels
were copied with some of all rows wrong, precision is low and the gap is there. In honest worlds it is far more."""
BY_CHANCE = 0.1
"""Share of a class that may lie on the wrong side of a gap with nothing in it, where no other feature tells which."""
EMPTY = 0.05
"""Share of the outliers that may lie in the middle third of a gap with nothing in it; between what lies above a limit
and most of what lies below, it is a fifth or more."""


def telling_precision(labels: Bools, ranking: Floats, others: OtherFeatures | None = None) -> float:
    """Average precision of a ranking that tells labels too well to be true; 0 of any other.

    It keeps the classes apart nearly without error, or there is nothing between them but for a few of each, which lie
    among the other class. These may be more where they are any rows, as far as `others` know.
    """
    above, below = ranking[labels], ranking[~labels]
    wide = _gap(above, below, FLIPPED)
    if wide is not None:
        precision = average_precision(labels, ranking)
        nearly_exact = precision >= SINGLE and _gap(above, below, OUTLIERS) is not None
        if nearly_exact or _is_empty(above, below, wide, FLIPPED):
            return precision
    wide = _gap(above, below, BY_CHANCE) if others else None
    if others is None or wide is None or not _is_empty(above, below, wide, BY_CHANCE):
        return 0.0
    errors = (ranking > sum(wide) / 2) != labels
    return average_precision(labels, ranking) if others.err_by_chance(ranking, errors) else 0.0


def _gap(above: Floats, below: Floats, outliers: float) -> tuple[float, float] | None:
    """Where the values of the two classes leave a gap as wide as the middle half of one of them; None if nowhere."""
    low, high = np.quantile(below, 1 - outliers), np.quantile(above, outliers)
    is_wide = high > low and high - low >= min(_middle_half(above), _middle_half(below))
    return (float(low), float(high)) if is_wide else None


def _middle_half(values: Floats) -> float:
    return float(np.subtract(*np.quantile(values, (0.75, 0.25))))


def _is_empty(above: Floats, below: Floats, gap: tuple[float, float], outliers: float) -> bool:
    low, high = gap
    third = (high - low) / 3
    inside = (np.mean((values > low + third) & (values < high - third)) for values in (above, below))
    return bool(max(inside) <= EMPTY * outliers)
