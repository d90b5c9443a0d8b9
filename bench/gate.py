"""How often evaluation and gate are wrong, with real bundles judged on a real Delta table: `bench/gate.py`.

Of 200 candidates that are seed twins of the champion, of 200 that are .03 of average precision better, and of 200 that
are better with a broken slice: how many pass? Every one is judged on rows of its own.

Then a year of nights: of champions that a twin challenges every night on new rows, how many are ever replaced? And how
many looks does a planted gain take, by the rule before (a level of .98 at each look) and by this one, if it is there
from the first look on, or comes after some looks at twins?
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
import pyarrow as pa
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
from jobs.arrays import Floats
from jobs.evaluation import seed_noise as training_noise
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.evaluation.verdict import GateVerdict
from jobs.models.tables import examples_of
from jobs.registry.bundle import Bundle
from jobs.stats import paired_bootstrap
from jobs.stats.alpha_spending import Look

RESULT = REPORTS / "gate.json"
ROWS = 40_000
"""Of a world, of which a quarter is judged."""
TRAINED = 15_000
MODELS = 10
"""Models that planted gains and broken slices take turns with; twins are as many as are judged."""
NIGHTS = 365
"""Looks at a champion in a year."""
Pairs = Callable[[int], tuple[Bundle, Bundle]]


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/gate.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the worlds are made here, so that the truth is known")
    parser.add_argument("--candidates", type=int, default=200, help="of each kind")
    parser.add_argument("--champions", type=int, default=8, help="challenged for a year each")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for measured in _measure(Path(scratch), asked.candidates):
            # After each kind: whoever stops early keeps what was found.
            RESULT.write_text(json.dumps(measured, indent=2) + "\n")
        measured["a_year"] = _year(Path(scratch), measured["training_noise"], asked.champions)
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


def _year(folder: Path, noise: float, champions: int) -> dict[str, Any]:
    """Champions that are challenged every night: by one of each other, which are twins, and a blurred one by a twin."""
    train = table_of(seed=10**6, rows=TRAINED)
    twins = [fitted(folder / f"year{n}", train, seed=2000 + n).model() for n in range(champions)]
    blurred = fitted(folder / "year-blurred", train, BLURRED, seed=3000).model()
    generator = np.random.default_rng(0)
    equal, better = np.ones((champions, NIGHTS)), np.ones((champions, NIGHTS))
    for night in range(NIGHTS):
        table = table_of(seed=5000 + night, rows=ROWS // 4)
        scores = [model.predict(examples_of(table, FEATURES, "is_fraud").features) for model in twins]
        worse = blurred.predict(examples_of(table, BLURRED, "is_fraud").features)
        for n in range(champions):
            challenger = (n + 1 + generator.integers(champions - 1)) % champions
            equal[n, night] = _p_value(table, scores[challenger], scores[n], noise)
            if n == night % champions:
                better[n, night] = _p_value(table, scores[n], worse, noise)
    gains = better[np.arange(NIGHTS) % champions, np.arange(NIGHTS)]
    alphas = np.array([1 - Look(n, 0.05).level for n in range(1, 2 * NIGHTS)])
    return {
        "champions": champions,
        "looks": NIGHTS,
        "ever_replaced_by_a_twin": int((equal <= alphas[:NIGHTS]).any(axis=1).sum()),
        "ever_replaced_by_a_twin_at_.98_each": int((equal <= 0.02).any(axis=1).sum()),
        "chance_of_a_twin_if_looks_were_independent": float(1 - np.prod(1 - _passing(equal.ravel(), alphas[:NIGHTS]))),
        "looks_for_a_gain": {f"after {n} looks": _looks(gains, alphas[n : n + NIGHTS]) for n in (0, 10, 100, 300)},
        "looks_for_a_gain_at_.98_each": _looks(gains, np.full(NIGHTS, 0.02)),
    }


def _passing(p_values: Floats, alphas: Floats) -> Floats:
    """For each alpha the share that passes."""
    share: Floats = (p_values[:, None] <= alphas[None]).mean(axis=0)
    return share


def _looks(p_values: Floats, alphas: Floats) -> float:
    """Mean number of looks until one passes, each on other rows."""
    return float(1 + np.cumprod(1 - _passing(p_values, alphas)[:-1]).sum())


def _p_value(table: pa.Table, mine: Floats, theirs: Floats, noise: float) -> float:
    labels, (_, cards) = table["is_fraud"].to_numpy(), np.unique(table["customer_id"], return_inverse=True)
    blocks, everything = int(cards.max()) + 1, [np.ones(len(labels), dtype=bool)]
    pair = [paired_bootstrap.rank(labels, scores, cards, everything) for scores in (mine, theirs)]
    drawn = paired_bootstrap.resampled(pair, blocks, 1000, 0)
    both = np.vstack([paired_bootstrap.observed(pair, blocks), drawn])
    return paired_bootstrap.p_value(both[:, 0] - both[:, 1], noise * np.sqrt(2))


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
