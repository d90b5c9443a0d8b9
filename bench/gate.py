"""How often evaluation and gate are wrong, with real bundles judged on a real Delta table: `bench/gate.py`.

Of 200 candidates that are seed twins of the champion, of 200 that are .03 of average precision better, and of 200 that
are better with a broken slice: how many pass? Every one is judged on rows of its own.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import REPORTS
from worlds.judged_world import (
    AS_OF,
    BLIND,
    BLURRED,
    BOOSTED,
    FEATURES,
    PROBLEM,
    USE_CASE,
    fitted,
    table_of,
    with_broken_slice,
)
from worlds.judged_world import write_training_set as write

from jobs import settings
from jobs.evaluation import seed_noise as training_noise
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.evaluation.verdict import GateVerdict
from jobs.models.tables import examples_of
from jobs.registry.bundle import Bundle

RESULT = REPORTS / "gate.json"
ROWS = 40_000
"""Of a world, of which a quarter is judged."""
TRAINED = 15_000
MODELS = 10
"""Models that planted gains and broken slices take turns with; twins are as many as are judged."""
Pairs = Callable[[int], tuple[Bundle, Bundle]]


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/gate.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the worlds are made here, so that the truth is known")
    parser.add_argument("--candidates", type=int, default=200, help="of each kind")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for measured in _measure(Path(scratch), asked.candidates):
            # After each kind: whoever stops early keeps what was found.
            RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def _measure(folder: Path, candidates: int) -> Iterator[dict[str, Any]]:
    """What was found so far, after each kind of candidates."""
    train = table_of(seed=10**6, rows=TRAINED)
    noise = training_noise.measure(
        "boosted", BOOSTED, examples_of(train, FEATURES, "is_fraud"),
        examples_of(table_of(seed=10**6 + 1, rows=ROWS), FEATURES, "is_fraud"),
    )  # fmt: skip

    def models(kind: str, count: int, names: tuple[str, ...], broken: bool = False) -> list[Bundle]:
        table = with_broken_slice(train) if broken else train
        return [fitted(folder / f"{kind}{seed}", table, names, seed=1000 + seed) for seed in range(count)]

    twins, blurred = models("twin", candidates, FEATURES), models("blurred", MODELS, BLURRED)
    broken, blind = models("broken", MODELS, FEATURES, broken=True), models("blind", MODELS, BLIND)
    kinds: dict[str, Pairs] = {
        "seed twins": lambda n: (twins[n], twins[n - 1]),
        "planted gain": lambda n: (twins[n % MODELS], blurred[n % MODELS]),
        "broken slice": lambda n: (broken[n % MODELS], blind[n % MODELS]),
    }
    found: dict[str, Any] = {"training_noise": noise, "rows_judged": ROWS // 4}
    for kind, pairs in kinds.items():
        found[kind] = _rates(folder, pairs, candidates, noise)
        yield found


def _rates(folder: Path, pairs: Pairs, candidates: int, noise: float) -> dict[str, Any]:
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    use_case = replace(USE_CASE, problem=replace(PROBLEM, limits=replace(PROBLEM.limits, training_noise=noise)))
    verdicts, began = [], time.perf_counter()
    for number in range(candidates):
        lakehouse = write(own, table_of(seed=number, rows=ROWS), use_case=use_case)
        mine, champion = pairs(number)
        verdicts.append(evaluate(lakehouse, use_case, ContenderVersion(2, mine), ContenderVersion(1, champion), AS_OF))
    gains = [verdict.evidence["checks"]["better_than_champion"]["difference"] for verdict in verdicts]
    return {
        "candidates": candidates,
        "promoted": sum(verdict.promoted for verdict in verdicts),
        "mean_gain": float(np.mean(gains)),
        "blamed_for_a_slice": sum(any(_blames(verdict)) for verdict in verdicts),
        "seconds_each": (time.perf_counter() - began) / candidates,
    }


def _blames(verdict: GateVerdict) -> list[bool]:
    return [check.outcome == "failed" for check in verdict.checks if check.name.startswith("slice")]


if __name__ == "__main__":
    main()
