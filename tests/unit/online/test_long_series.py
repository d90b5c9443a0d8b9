"""What long series keep beside their facts, against plain loops: sums, extremes and different values of any range."""

from array import array
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.features import exact_sum
from jobs.online import exact_prefix
from jobs.online.exact_prefix import ExactPrefix, limbs_of, sample_deviation, squares_of
from jobs.online.extremes import BLOCK, Extremes
from jobs.online.sliding import SlidingCount

pytestmark = pytest.mark.embedded

numbers = st.one_of(
    st.floats(-1e140, 1e140),
    st.integers(-(10**7), 10**7).map(lambda cents: cents / 100),
    st.sampled_from([1e9, 0.01, 5e-324, -5e-324, 1e140, -1e-140, 2.0**16, 2.0**-24]),
)


@given(st.lists(numbers, min_size=1, max_size=30), st.randoms(use_true_random=False))
@with_examples(150)
def test_sums_and_deviations_have_the_bits_of_the_kernel(values: list[float], chance: Any) -> None:
    """Inserted in any order, or made at once; of any range."""
    sums, squares = ExactPrefix(), ExactPrefix()
    held: list[float] = []
    for value in values:
        place = chance.choice([len(held), chance.randint(0, len(held))])
        held.insert(place, value)
        sums.insert(place, limbs_of(value))
        squares.insert(place, squares_of(value))
    doubles = np.array(held)
    limbs, square_limbs = exact_sum.limbs_of(doubles), exact_sum.squares_of(doubles)
    for prefix, split in ((sums, limbs), (ExactPrefix.of(limbs, len(held)), limbs), (squares, square_limbs)):
        low = chance.randint(0, len(held))
        high = chance.randint(low, len(held))
        inside = {exponent: limb[low:high].sum(keepdims=True) for exponent, limb in split.items()}
        assert prefix.total(low, high).hex() == float(exact_sum.rounded(inside, 1)[0]).hex()
    whole = [{e: limb.sum(keepdims=True) for e, limb in split.items()} for split in (limbs, square_limbs)]
    deviation = float(exact_sum.sample_deviation(np.array([len(held)]), *whole)[0])
    found = sample_deviation(len(held), sums.pair(0, len(held)), squares.pair(0, len(held)))
    assert found.hex() == deviation.hex()


def test_running_sums_wrap_as_those_of_the_kernel_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_prefix, "UNWRAPPED", 0)
    values = [2.0**56] * 5
    prefix = ExactPrefix()
    for place in range(5):
        prefix.insert(place, {exponent: limb << 23 for exponent, limb in limbs_of(values[place]).items()})
    assert prefix.total(3, 4) == prefix.total(0, 1)


@pytest.mark.parametrize("better", [max, min])
@pytest.mark.parametrize("size", [1, 2 * BLOCK, 2 * BLOCK + 1, BLOCK * BLOCK, 10_000, 20_000])
def test_extremes_of_any_range_equal_those_of_a_list(size: int, better: Any) -> None:
    chance = Random(size)
    values = array("d", [chance.randint(-size, size) / 4 for _ in range(size)])
    extremes = Extremes(values, better)
    for turn in range(300):
        if turn % 3 == 0:
            place = chance.choice([len(values), chance.randint(0, len(values))])
            values.insert(place, chance.choice([-1e9, 0.0, 1e9]) * chance.random())
            extremes.inserted(place)
        low = chance.randrange(len(values))
        high = chance.randint(low + 1, len(values))
        assert extremes.best(low, high) == better(values[low:high])


def test_different_values_of_ranges_that_move_on_or_jump_equal_those_of_a_set() -> None:
    chance = Random(3)
    values = [chance.randrange(40) for _ in range(2000)]
    sliding, low, high = SlidingCount(), 0, 0
    for _ in range(400):
        low, high = low + chance.randint(0, 5), min(high + chance.randint(0, 8), 2000)
        if chance.random() < 0.05:
            low, high = sorted(chance.sample(range(2000), 2))
        low = min(low, high)
        assert sliding.different(values, low, high) == len(set(values[low:high]))
