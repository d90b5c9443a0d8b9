"""A process that ends is started again: soon at first, later each time, and soon again once it has lasted."""

from __future__ import annotations

from orchestration.restarts import LASTING_SECONDS, LONGEST_SECONDS, Restarts


def pause(restarts: Restarts, ended: float) -> float:
    """Seconds from an end to the start that follows."""
    seconds = 0.0
    while not restarts.is_due(ended + seconds):
        seconds += 0.5
    return seconds


def test_pauses_double_up_to_the_longest_and_begin_anew_after_one_that_lasted() -> None:
    restarts, now, pauses = Restarts(0.0), 0.0, []
    for _ in range(12):
        pauses.append(pause(restarts, now + 1))
        now += 1 + pauses[-1]
    assert pauses == [*(2.0**n for n in range(9)), *[LONGEST_SECONDS] * 3]
    assert pause(restarts, now + LASTING_SECONDS + 1) == 1.0
