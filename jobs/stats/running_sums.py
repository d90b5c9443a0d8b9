"""Running weighted means and how far observations were from them: what sequences of intervals are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Floats, Ints, codes
from jobs.errors import Invalid


def finite(name: str, values: ArrayLike, lowest: float = -np.inf, highest: float = np.inf) -> Floats:
    """The values as numbers, shape (observations,).

    Raises:
        ValueError: another shape, or a value that is missing, infinite or outside the bounds.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all() or ((numbers < lowest) | (numbers > highest)).any():
        raise Invalid(
            f"{name}: expected a list of finite numbers in [{lowest}, {highest}], found shape {numbers.shape} with "
            f"{numbers[~((numbers >= lowest) & (numbers <= highest) & np.isfinite(numbers))][:3]}; leave them out"
        )
    return numbers


@dataclass(frozen=True, eq=False)
class Residuals:
    """Observations in order, each with its distance to the weighted mean of those before it."""

    values: Floats
    weights: Floats
    clusters: Ints | None

    @classmethod
    def of(cls, values: ArrayLike, weights: ArrayLike, clusters: ArrayLike | None) -> Residuals:
        """See `jobs.stats.confidence_sequences.of_weighted_mean`."""
        numbers, chosen = finite("values", values), finite("weights", weights, 0.0)
        if chosen.shape != numbers.shape:
            raise Invalid(f"weights: expected {len(numbers)}, one for each value, found {len(chosen)}")
        of_rows = None if clusters is None else codes("clusters", clusters, len(numbers))[1]
        return cls(numbers, chosen, of_rows)

    @cached_property
    def means(self) -> Floats:
        """The weighted mean after each observation; 0 before the first weight."""
        return self._origin + _ratio(np.cumsum(self.weights * self._moved), self._total)

    @cached_property
    def squared_errors(self) -> Floats:
        """The squared standard error of each mean, from the sums of the clusters so far."""
        return _ratio(self._grown(2), self._total**2)

    @cached_property
    def effective(self) -> Floats:
        """How many sums of clusters make up the variance so far, if all had the same share: (sum of squares)^2 / sum of
        fourth powers. The inverse of Lyapunov's ratio, which vanishes where a central limit theorem holds."""
        return _ratio(self._grown(2) ** 2, self._grown(4))

    @cached_property
    def _origin(self) -> float:
        """The first value that counts: numbers near it are subtracted without loss."""
        return float(self.values[self.weights > 0][:1].sum())

    @cached_property
    def _moved(self) -> Floats:
        return self.values - self._origin

    @cached_property
    def _total(self) -> Floats:
        total: Floats = np.cumsum(self.weights)
        return total

    @cached_property
    def _residuals(self) -> Floats:
        before = np.concatenate([[0.0], (self.means - self._origin)[:-1]])[: len(self.values)]
        away: Floats = self.weights * (self._moved - before)
        return away

    def _grown(self, power: int) -> Floats:
        """The sum over clusters of a power of their sums of residuals, after each observation."""
        if self.clusters is None:
            alone: Floats = np.cumsum(self._residuals**power)
            return alone
        after = running_by_group(self._residuals, self.clusters)
        # Sums of differences end a little below 0 where all of them should be 0.
        grown: Floats = np.maximum(np.cumsum(after**power - (after - self._residuals) ** power), 0.0)
        return grown


def running_by_group(values: Floats, groups: Ints) -> Floats:
    """The sum of the values of each row's group up to this row."""
    order = np.argsort(groups, kind="stable")
    sums = np.cumsum(values[order])
    first = np.searchsorted(groups[order], groups[order], side="left")
    found: Floats = np.empty_like(sums)
    found[order] = sums - (sums[first] - values[order][first])
    return found


def _ratio(above: Floats, below: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    quotient: Floats = np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
    return quotient
