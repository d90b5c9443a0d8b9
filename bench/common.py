"""What the benchmarks share: their data, timing in turns, and the path to the small worlds of `tests/worlds`."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "docs" / "benchmarks"
sys.path.append(str(ROOT / "tests"))


def simulated(folder: Path) -> dict[str, Path]:
    """The simulator's default world, for who has no data at hand: input name -> file."""
    from jobs.simulate import simulator

    print("no --data given: simulating payments", file=sys.stderr)
    return simulator.write(simulator.scenario("stable"), folder)


def runs(
    work: dict[str, Callable[[], object]], rounds: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of some rounds, taken in turns so that a busy machine is unfair to all alike.

    A round before them is not counted: in it processes import what they need, and files come into memory. With
    `time.process_time` they are seconds of processors, of all threads, which a busy machine changes less.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, action in work.items():
            start = clock()
            action()
            seconds[name].append(clock() - start)
    return {name: times[1:] for name, times in seconds.items()}


def best(work: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Seconds of the best of some rounds, taken in turns."""
    return {name: min(times) for name, times in runs(work, rounds).items()}


def spread(numbers: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Minimum, median and maximum of some runs."""
    values = sorted(numbers)
    named = {"minimum": values[0], "median": statistics.median(values), "maximum": values[-1]}
    return {name: round(value, digits) for name, value in named.items()}


def ratios(seconds: dict[str, list[float]], ours: str, theirs: str) -> dict[str, float]:
    """The spread of our seconds over theirs, round by round."""
    return spread(mine / other for mine, other in zip(seconds[ours], seconds[theirs], strict=True))
