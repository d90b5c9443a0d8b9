"""Ranks inside a window against sorting what is inside, one target at a time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.features.ranks import Ranks


@pytest.mark.parametrize(("seed", "codes"), [(0, 1), (1, 2), (2, 7), (3, 8), (4, 1000), (5, 40)])
def test_below_and_select_equal_a_sorted_list(seed: int, codes: int) -> None:
    chance = np.random.default_rng(seed)
    facts, targets = 300, 200
    code = chance.integers(0, codes, facts)
    come = chance.permutation(facts)
    # Any order of leaving in which nothing leaves before it came.
    gone = np.argsort(np.argsort(come) + chance.integers(0, 50, facts), kind="stable")
    entered = chance.integers(0, facts + 1, targets)
    left = np.array([_left(come[:n], gone, chance) for n in entered])
    own = np.where(chance.random(targets) < 0.3, chance.integers(0, codes, targets), -1)
    ranks = Ranks((entered, code[come]), (left, code[gone]), own, codes)
    inside = [
        sorted([*code[np.setdiff1d(come[:n], gone[:m])], *([o] if o >= 0 else [])])
        for n, m, o in zip(entered, left, own, strict=True)
    ]
    bounds = chance.integers(0, codes + 1, targets)
    wanted = [sum(c < bound for c in held) for held, bound in zip(inside, bounds, strict=True)]
    assert ranks.below(bounds).tolist() == wanted
    places = np.array([chance.integers(0, max(len(held), 1)) for held in inside])
    chosen = ranks.select(places)
    for held, place, found in zip(inside, places, chosen, strict=True):
        assert not held or found == held[place]


def _left(here: NDArray[Any], gone: NDArray[Any], chance: np.random.Generator) -> int:
    """How many may have left, if only those that came can have."""
    present = set(here.tolist())
    most = next((n for n, fact in enumerate(gone) if fact not in present), len(gone))
    return int(chance.integers(0, most + 1))
