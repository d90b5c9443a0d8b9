"""The order of a selection: the best that helps alone, else several together, and the end when nothing does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from jobs.feature_search.selection import Group, pruned, select
from jobs.feature_search.trees import Difference

GROUPS = [Group(name, (name,)) for name in "abcdefghij"]


class World:
    """A judge whose truth is a function of features; all of them have the same share in the trees' gain, but for z."""

    def __init__(self, quality: Callable[[set[str]], float]) -> None:
        self.quality = quality

    def difference(self, names: Sequence[str], less: Sequence[str], compared: int = 1) -> Difference:
        gain = self.quality(set(names)) - self.quality(set(less))
        return Difference((gain, gain), gain - 0.001)

    def gains(self, names: Sequence[str]) -> dict[str, float]:
        return {name: 0.0 if name == "z" else 1 / len(names) for name in names}


def chosen(quality: Callable[[set[str]], float], deadline: float = math.inf) -> tuple[list[str], str]:
    judge: Any = World(quality)
    found = select(judge, ["x"], GROUPS, deadline)
    return [group.name for group, _ in found.chosen], found.ended


def test_what_helps_most_comes_first_and_what_does_not_stays_out() -> None:
    worth = {"b": 0.1, "d": 0.3}
    names, ended = chosen(lambda names: sum(worth.get(name, 0) for name in names))
    assert names == ["d", "b"] and "nothing that is left" in ended


def test_features_that_help_only_beside_each_other_are_found() -> None:
    names, _ = chosen(lambda names: float({"a", "d", "h"} <= names))
    assert {"a", "d", "h"} <= set(names)


def test_what_is_within_noise_or_out_of_time_is_not_chosen() -> None:
    assert chosen(lambda names: 0.0001 * len(names)) == ([], "nothing that is left helps beyond noise")
    assert chosen(len, deadline=-math.inf) == ([], "the time was over")


def test_windows_that_trees_hardly_use_go_unless_that_is_worse() -> None:
    group = Group("both", ("a", "z"))
    useless: Any = World(lambda names: float("a" in names))
    assert pruned(useless, ["x"], [group]) == [Group("both", ("a",))]
    needed: Any = World(lambda names: float("z" in names))
    assert pruned(needed, ["x"], [group]) == [group]
