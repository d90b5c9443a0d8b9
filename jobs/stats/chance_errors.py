"""Whether a feature that tells the labels of most rows errs by pure chance, as a copied label with some values flipped.

What was measured errs where its subject is unusual, and other features of a row know something of that. What was copied
from the label and then spoiled errs anywhere: within a class, no other feature tells where.
"""

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools, Floats

ALIKE = 0.95
"""Correlation from which on another feature is taken for the same one."""
DEVIATIONS = 4.5
"""Of chance, beyond which a feature tells where errors are; of a hundred features, in two classes, hardly one is."""
FEWEST_ERRORS = 20
"""Of both classes together; with fewer nothing could be told of them."""


class OtherFeatures:
    """Features of rows, ranked once, that may tell where another one errs."""

    def __init__(self, labels: Bools, features: npt.NDArray[np.floating]) -> None:
        self._labels, self._features = labels, features
        self._ranks: dict[bool, Floats] = {}

    def err_by_chance(self, ranking: Floats, errors: Bools) -> bool:
        """Whether no other feature than `ranking`, or what is like it, tells the errors within a class."""
        if errors.sum() < FEWEST_ERRORS:
            return False
        others = [place for place in range(self._features.shape[1]) if not self._is_alike(place, ranking)]
        return not any(
            np.any(np.abs(self._deviations(of_class, errors)[others]) > DEVIATIONS) for of_class in (False, True)
        )

    def _is_alike(self, place: int, ranking: Floats) -> bool:
        values = np.nan_to_num(self._features[:, place].astype(np.float64))
        spread = values.std() * ranking.std()
        if spread == 0:
            return True
        return bool(abs(np.mean((values - values.mean()) * (ranking - ranking.mean()))) >= ALIKE * spread)

    def _deviations(self, of_class: bool, errors: Bools) -> Floats:
        """Of each feature, how far the mean rank of the errors in a class is from that of the class, in standard
        deviations of a drawing without replacement."""
        rows = self._labels == of_class
        ranks, wrong = self._ranked(of_class), errors[rows]
        count, drawn = len(wrong), int(wrong.sum())
        if not 0 < drawn < count:
            return np.zeros(ranks.shape[1])
        variance = ranks.var(axis=0) * (count - drawn) / (count - 1) / drawn
        distance = ranks[wrong].mean(axis=0) - ranks.mean(axis=0)
        deviations: Floats = np.divide(distance, np.sqrt(variance), out=np.zeros_like(distance), where=variance > 0)
        return deviations

    def _ranked(self, of_class: bool) -> Floats:
        if of_class not in self._ranks:
            part = self._features[self._labels == of_class]
            self._ranks[of_class] = np.column_stack([_ranks(part[:, place]) for place in range(part.shape[1])])
        return self._ranks[of_class]


def _ranks(values: npt.NDArray[np.floating]) -> Floats:
    """Mean ranks of values; missing ones come last."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[place]
    return ranks
