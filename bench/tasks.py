"""Numbers and classes against a default LightGBM on the same training rows: on two data sets that scikit-learn ships,
and on the simulated deliveries of `tests/worlds/deliveries.py`. The objective, its paired gain, coverage of intervals.

    python -m bench.tasks [--rounds 20] [--network] [--only diabetes]

Rows of the shipped sets have no time: each round deals them anew, and the mean over rounds is compared (Student's t).
Of the deliveries later days are judged, by a paired bootstrap of rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jobs import settings
from jobs.datasets.time_split import split
from jobs.datasets.training_rows import TrainingRows
from jobs.limits import Limits
from jobs.models.protocol import Examples
from jobs.models.runtime import score
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR
from jobs.problem import Family, Problem
from jobs.settings import ROOT
from jobs.stats import paired_bootstrap
from jobs.tasks.intervals import Interval
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import RowValues, Task
from jobs.times import microseconds
from jobs.training import train
from jobs.training.train import TrainingInput
from jobs.use_cases.fraud import FRAUD

START, MINUTE = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
VALIDATED, JUDGED, TESTED = 0.2, 0.15, 0.25
"""Shares of the rows: validation and judged of those to train on, and those that are tested on, the latest."""


@dataclass(frozen=True)
class Measured:
    """What one round came to."""

    family: str
    ours: float
    default: float
    difference: tuple[float, float, float]
    """Gain on the default, and its 95 % interval by a bootstrap of rows."""
    coverage: float | None


def measured(task: Task, features: Any, labels: Any, folder: Path, network: bool = False) -> Measured:
    """Train on the first rows and compare on the last: the better of LightGBM and the plain family, or the network."""
    rows = len(labels)
    seen = int(rows * (1 - TESTED))
    plain = Family("linear" if isinstance(task, Regression) else "logistic")
    families = (Family("tabular_mlp"),) if network else (plain, Family("boosted"))
    problem = Problem(task=task.name, families=families, limits=Limits(latency_ms=1000.0))
    names = tuple(f"f{n}" for n in range(features.shape[1]))
    examples = Examples(features.astype(np.float32), labels, None, names, task)
    times = microseconds(START) + np.arange(rows) * 60_000_000
    known = TrainingRows(examples.rows(slice(0, seen)), times[:seen], np.arange(seen), None, 0)
    now = START + (seen - 1) * MINUTE
    windows = [timedelta(minutes=int(seen * share)) for share in (VALIDATED, JUDGED)]
    parts = split(now, timedelta(0), *windows)
    made_of = {"as_of": now.isoformat(), "versions": {}}
    data = TrainingInput(known, parts, {}, made_of)
    use_case = replace(FRAUD, computed=(), problem=problem, label="target")
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    trained = train.train(own, use_case, data, folder / "bundle")
    held = examples.rows(slice(seen, rows))
    ours = score(trained.bundle.session(), held.features).astype(np.float64)
    theirs = _default(task, known.examples.rows(parts.final(known.times)), held)
    interval = Interval.of_stored(trained.bundle.manifest.interval)
    coverage = None
    if interval is not None:
        lower, upper = interval.ends(ours)
        coverage = float(((held.labels >= lower) & (held.labels <= upper)).mean())
    pair = [_prepared(task, held, scores) for scores in (ours, theirs)]
    drawn = paired_bootstrap.resampled(pair, len(held), 1000, 0)
    first = paired_bootstrap.observed(pair, len(held))
    gains = np.concatenate([[first[1] - first[0]], drawn[:, 1] - drawn[:, 0]])
    ends = paired_bootstrap.interval(gains, 0.975)
    return Measured(trained.winner.name, first[0], first[1], (float(gains[0]), *ends), coverage)


def _prepared(task: Task, held: Examples, scores: Any) -> Any:
    everything = [np.ones(len(held), bool)]
    return task.resampled(held.labels, scores, np.arange(len(held)), everything, RowValues())


def _default(task: Task, known: Examples, held: Examples) -> Any:
    """A LightGBM with nothing set but its seed and threads."""
    import lightgbm

    kind = lightgbm.LGBMRegressor if isinstance(task, Regression) else lightgbm.LGBMClassifier
    model = kind(random_state=0, n_jobs=1, verbosity=-1).fit(known.features, known.labels)
    if isinstance(task, Regression):
        return model.predict(held.features)
    return task.aligned(np.asarray(model.predict_proba(held.features)), [task.classes[n] for n in model.classes_])


def worlds() -> dict[str, tuple[Task, Any, Any, bool]]:
    """Name -> task, features, labels, whether the rows are in order of time."""
    from sklearn.datasets import load_diabetes, load_digits

    sys.path.append(str(ROOT / "tests"))
    from worlds.deliveries import orders

    diabetes, digits, later = load_diabetes(), load_digits(), orders(1000)
    depot = later["DEPOT"].str.slice(1).cast(int).to_numpy()
    known = np.column_stack([later["DISTANCE"].to_numpy(), later["WEIGHT"].to_numpy(), depot])
    classes = tuple(str(n) for n in range(10))
    came = Multiclass(LOG_LOSS, ("early", "in_time", "late"))
    number = Regression(MEAN_ABSOLUTE_ERROR)
    return {
        "diabetes (442 rows)": (number, diabetes.data, diabetes.target.astype(float), False),
        "digits (1,797 rows)": (Multiclass(LOG_LOSS, classes), digits.data, digits.target.astype(np.int64), False),
        f"deliveries, hours ({len(later):,} rows)": (number, known, later["HOURS"].to_numpy(), True),
        f"deliveries, class ({len(later):,} rows)": (
            came, known, np.array([came.classes.index(name) for name in later["CAME"]]), True,
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--network", action="store_true", help="the network instead of LightGBM and the plain family")
    parser.add_argument("--only", default="", help="data whose names begin so")
    given = parser.parse_args()
    rounds, chosen = given.rounds, {n: world for n, world in worlds().items() if n.startswith(given.only)}
    print("| data | family | objective, ours | default LightGBM | gain (95 %) | coverage of 90 % intervals |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (task, features, labels, ordered) in chosen.items():
        made = []
        for seed in range(1 if ordered else rounds):
            order = np.arange(len(labels)) if ordered else np.random.default_rng(seed).permutation(len(labels))
            with tempfile.TemporaryDirectory() as folder:
                made.append(measured(task, features[order], labels[order], Path(folder), given.network))
        print(_line(name, made), flush=True)


def _line(name: str, made: list[Measured]) -> str:
    from scipy.stats import t as student

    gains = np.array([each.difference[0] for each in made])
    low, high = made[0].difference[1:]
    if len(made) > 1:
        # Rounds share rows: the correction of Nadeau & Bengio (Machine Learning 52, 2003).
        error = gains.std(ddof=1) * np.sqrt(1 / len(made) + TESTED / (1 - TESTED))
        reach = error * student.isf(0.025, len(made) - 1)
        low, high = gains.mean() - reach, gains.mean() + reach
    families = ", ".join(sorted({each.family for each in made}))
    ours, theirs = (np.mean([getattr(each, of) for each in made]) for of in ("ours", "default"))
    covered = [each.coverage for each in made if each.coverage is not None]
    shown = f"{np.mean(covered):.3f}" if covered else ""
    gain = f"{gains.mean():+.4g} ({low:+.4g} to {high:+.4g})"
    return f"| {name} | {families} | {ours:.4g} | {theirs:.4g} | {gain} | {shown} |"


if __name__ == "__main__":
    main()
