"""Which candidates help: one after the other, the best first, as long as one helps beyond noise.

Forward selection (Guyon & Elisseeff, An introduction to variable and feature selection, JMLR 3, 2003, section 4), in
which trees that see everything say what is worth trying next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.feature_search.trees import Difference, Judge

TRIED_AT_A_TIME = 6
TOGETHER = (3, 6, 12)
"""If none helps alone, so many of the best are tried as one: features may help only beside each other."""
LEAST_SHARE = 0.002
"""A feature whose share in the trees' gain is below this is not worth its place in a table."""

OUT_OF_TIME = "the time was over"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Group:
    """Features that are added as one: those of an aggregate."""

    name: str
    columns: tuple[str, ...]


@dataclass
class Selection:
    """What was chosen, in its order, and what was tried."""

    chosen: list[tuple[Group, Difference]] = field(default_factory=list)
    refused: dict[str, Difference] = field(default_factory=dict)
    """Group -> its last difference, which was not beyond noise."""
    not_tried: list[str] = field(default_factory=list)
    """Groups that the trees never put among the best."""
    ended: str = "there was nothing to try"


def select(
    judge: Judge, base: Sequence[str], groups: Sequence[Group], deadline: float, report: Report = lambda _: None
) -> Selection:
    """Add groups to `base` while one helps.

    Args:
        deadline: of `time.monotonic`; what was chosen by then stands.
        report: called with a sentence after each round.
    """
    found, left, current = Selection(), list(groups), list(base)
    while left:
        if time.monotonic() > deadline:
            found.ended = OUT_OF_TIME
            break
        added = _round(judge, current, left, found)
        if not added:
            found.ended = "nothing that is left helps beyond noise"
            break
        for group, difference in added:
            found.chosen.append((group, difference))
            left.remove(group)
            current += group.columns
        names = " and ".join(group.name for group, _ in added)
        report(f"{names}: {added[0][1].mean:+.4f}")
    found.refused = {name: d for name, d in found.refused.items() if name in {group.name for group in left}}
    found.not_tried = [group.name for group in left if group.name not in found.refused]
    return found


def pruned(judge: Judge, base: Sequence[str], chosen: Sequence[Group]) -> list[Group]:
    """The chosen without those features that the trees hardly use, if that is not worse beyond noise."""
    whole = [*base, *(name for group in chosen for name in group.columns)]
    gains = judge.gains(whole)
    smaller = [Group(group.name, _used(group, gains)) for group in chosen]
    names = [*base, *(name for group in smaller for name in group.columns)]
    if len(names) == len(whole) or judge.difference(whole, names).is_beyond_noise:
        return list(chosen)
    return smaller


def _used(group: Group, gains: dict[str, float]) -> tuple[str, ...]:
    used = tuple(name for name in group.columns if gains[name] >= LEAST_SHARE)
    return used or (max(group.columns, key=gains.__getitem__),)


def _round(
    judge: Judge, current: Sequence[str], left: Sequence[Group], found: Selection
) -> list[tuple[Group, Difference]]:
    """What this round adds: the best of the most promising, or several together; empty if nothing helps."""
    gains = judge.gains([*current, *(name for group in left for name in group.columns)])
    ranked = sorted(left, key=lambda group: -sum(gains[name] for name in group.columns))
    promising = ranked[:TRIED_AT_A_TIME]
    compared = len(promising) + len(TOGETHER)
    alone = [(group, _helps(judge, current, [group], compared)) for group in promising]
    alone.sort(key=lambda one: -one[1].mean)
    if helping := [one for one in alone if one[1].is_beyond_noise]:
        return helping[:1]
    best = [*(group for group, _ in alone), *ranked[TRIED_AT_A_TIME:]]
    for some in (best[:size] for size in TOGETHER):
        together = _helps(judge, current, some, compared)
        if together.is_beyond_noise:
            return [(group, together) for group in some]
    found.refused |= {group.name: difference for group, difference in alone}
    return []


def _helps(judge: Judge, current: Sequence[str], groups: Sequence[Group], compared: int) -> Difference:
    return judge.difference([*current, *(name for group in groups for name in group.columns)], current, compared)
