"""How often evaluation and gate are wrong, with real bundles judged on a real Delta table: `bench/gate.py`.

Of 200 candidates that are seed twins of the champion, of 200 that are .03 of average precision better, and of 200 that
are better with a broken slice: how many pass? Every one is judged on rows of its own.

Then a year of nights: of champions that a twin challenges every night on new rows, how many are ever replaced, without
alarms and with one at every tenth look? And how many looks does a planted gain take, by the rule before (a level of .98
at each look) and by this one, if it is there from the first look on, or comes after some looks at twins?
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from common import REPORTS
from numpy.typing import NDArray
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
from jobs.stats.alpha_spending import Look, following

RESULT = REPORTS / "gate.json"
ROWS = 40_000
"""Of a world, of which a quarter is judged."""
TRAINED = 15_000
MODELS = 10
"""Models that planted gains and broken slices take turns with; twins are as many as are judged."""
NIGHTS = 365
"""Looks at a champion in a year."""
POOLED = 4
"""Usual windows that the longest one holds: looks at one pair whose rows are taken together."""
ALARMED = 10
"""One of so many looks is taken after an alarm."""
AFTER = (0, 10, 100, 300)
"""Looks at twins before there is a gain."""
SEQUENCES, RESAMPLES = 2000, 400
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
    """Champions that are challenged every night: by each other, which are twins, and a blurred one by a twin.

    A twin challenges until the pooled window is full, then another one does.
    """
    train = table_of(seed=10**6, rows=TRAINED)
    twins = [fitted(folder / f"year{n}", train, seed=2000 + n).model() for n in range(champions)]
    blurred = fitted(folder / "year-blurred", train, BLURRED, seed=3000).model()
    generator = np.random.default_rng(0)
    equal, better, challengers = np.zeros((champions, NIGHTS, 2)), np.zeros((NIGHTS, 2)), np.zeros(champions, int)
    for night in range(NIGHTS):
        table = table_of(seed=5000 + night, rows=ROWS // 4)
        scores = [model.predict(examples_of(table, FEATURES, "is_fraud").features) for model in twins]
        if night % POOLED == 0:
            challengers = (np.arange(champions) + 1 + generator.integers(champions - 1, size=champions)) % champions
        for n in range(champions):
            equal[n, night] = _difference(table, scores[challengers[n]], scores[n])
        worse = blurred.predict(examples_of(table, BLURRED, "is_fraud").features)
        better[night] = _difference(table, scores[night % champions], worse)
    calm, alarmed = ([1 - look.level for look in _looks(every)] for every in (0, ALARMED))
    alone = _p_values(equal, np.ones(NIGHTS, int), noise)
    pooled = _p_values(equal, 1 + np.arange(NIGHTS) % POOLED, noise)
    return {
        "champions": champions,
        "looks": NIGHTS,
        "ever_replaced_by_a_twin": _ever(pooled, calm),
        "the_same_with_an_alarm_at_every_tenth_look": _ever(pooled, alarmed),
        "ever_replaced_by_a_twin_at_.98_each": _ever(alone, [0.02] * NIGHTS),
        "ever_replaced_by_a_twin_at_.98_each_and_.75_at_every_tenth": _ever(
            alone, [0.25 if night % ALARMED == 0 else 0.02 for night in range(NIGHTS)]
        ),
        "chance_of_a_twin_if_looks_were_independent": _in_all(pooled, calm),
        "the_same_with_alarms": _in_all(pooled, alarmed),
        "looks_for_a_gain": {f"after {n} looks": _found(better, _alphas(n), noise, POOLED) for n in AFTER},
        "looks_for_a_gain_without_pooling": {f"after {n} looks": _found(better, _alphas(n), noise, 1) for n in AFTER},
        "looks_for_a_gain_at_.98_each": _found(better, [0.02] * NIGHTS, noise, 1),
    }


def _looks(every: int, looks: int = NIGHTS) -> list[Look]:
    """Looks of which one of `every` is taken after an alarm; 0: none."""
    taken: list[Look] = []
    for number in range(looks):
        taken.append(following(taken[-1] if taken else None, 0.05, bool(every) and number % every == 0))
    return taken


def _alphas(after: int) -> list[float]:
    return [1 - look.level for look in _looks(0, after + NIGHTS)[after:]]


def _ever(p_values: Floats, alphas: Sequence[float]) -> int:
    """Champions that are replaced at any of their looks."""
    return int((p_values <= np.asarray(alphas)).any(axis=1).sum())


def _in_all(p_values: Floats, alphas: Sequence[float]) -> float:
    """From the share of all comparisons that passes at the level of each look."""
    passing = (p_values.ravel()[:, None] <= np.asarray(alphas)[None]).mean(axis=0)
    return float(1 - np.prod(1 - passing))


def _found(better: Floats, alphas: Sequence[float], noise: float, pooled: int) -> float:
    """Mean number of looks until a gain passes, each on the rows of other nights, the latest `pooled` together."""
    nights = np.random.default_rng(1).integers(len(better), size=(SEQUENCES, NIGHTS))
    passed = _p_values(better[nights], np.minimum(1 + np.arange(NIGHTS), pooled), noise) <= np.asarray(alphas)
    return float(np.where(passed.any(axis=1), passed.argmax(axis=1) + 1, NIGHTS).mean())


def _p_values(measured: Floats, pooled: NDArray[np.int64], noise: float) -> Floats:
    """Shape (sequences, looks): of the mean difference of the latest looks, whose rows err each for itself and whose
    models do not.

    Args:
        measured: shape (sequences, looks, 2), differences with the standard errors of their rows.
        pooled: number of looks at one pair up to each look.
    """
    sums = np.cumsum(measured * np.array([1.0, 0.0]) + np.square(measured) * np.array([0.0, 1.0]), axis=1)
    sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
    looks = np.arange(1, measured.shape[1] + 1)
    window = (sums[:, looks] - sums[:, looks - pooled]) / np.stack([pooled, pooled**2], axis=1)
    z = window[..., 0] / np.sqrt(window[..., 1] + 2 * noise**2)
    normal = NormalDist()
    p_values: Floats = np.vectorize(normal.cdf)(-z)
    return p_values


def _difference(table: pa.Table, mine: Floats, theirs: Floats) -> tuple[float, float]:
    """In average precision, with the standard error of the rows."""
    labels, (_, cards) = table["is_fraud"].to_numpy(), np.unique(table["customer_id"], return_inverse=True)
    blocks, everything = int(cards.max()) + 1, [np.ones(len(labels), dtype=bool)]
    pair = [paired_bootstrap.rank(labels, scores, cards, everything) for scores in (mine, theirs)]
    drawn = paired_bootstrap.resampled(pair, blocks, RESAMPLES, 0)
    observed = paired_bootstrap.observed(pair, blocks)
    return float(observed[0] - observed[1]), float((drawn[:, 0] - drawn[:, 1]).std(ddof=1))


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
