"""What is searched: ranges and lists of values as a declaration holds them, as Optuna's distributions, as a grid.

How trials are drawn from it: see `jobs.training.search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.errors import Invalid
from jobs.problem import Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, Range | tuple[Any, ...]]
Distributions = Mapping[str, "BaseDistribution"]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter."""
    return {name: _distribution(values) for name, values in space.items()}


def grid(space: Distributions, seed: int) -> list[dict[str, Any]]:
    """Every point of the grid, shuffled, so that fewer trials than points are spread over it.

    Raises:
        ValueError: a range has no step.
    """
    points = [dict(zip(space, point, strict=True)) for point in product(*map(_values, space.values()))]
    return [points[place] for place in np.random.default_rng(seed).permutation(len(points))]


def _distribution(values: Range | tuple[Any, ...]) -> BaseDistribution:
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(values)
    if values.integer:
        step = 1 if values.log else int(values.step or 1)
        return distributions.IntDistribution(int(values.low), int(values.high), values.log, step)
    return distributions.FloatDistribution(values.low, values.high, values.log, values.step)


def _values(distribution: BaseDistribution) -> list[Any]:
    from optuna import distributions as kinds

    if isinstance(distribution, kinds.CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, kinds.IntDistribution | kinds.FloatDistribution)
    if distribution.step is None:
        raise Invalid(
            f"grid search: expected a `step` for every range, found {distribution}; declare one, or list the values"
        )
    count = int(np.floor((distribution.high - distribution.low) / distribution.step + 1e-9)) + 1
    return [distribution.low + place * distribution.step for place in range(count)]
