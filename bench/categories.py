"""Categories: average precision against LightGBM's own on the same rows, and what a category of 10^6 values costs.

    python -m bench.categories

The truth is known: labels are drawn from chances that a category of 200 values and two numbers decide.
"""

from __future__ import annotations

import json
import time

import lightgbm
import numpy as np
import pyarrow as pa

from jobs.models.catalog import new_model
from jobs.models.tables import examples_of
from jobs.stats.metrics import average_precision

ROWS, VALUES, MANY = 100_000, 200, 1_000_000
ROUNDS = 200
SHARED = {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.8, "lambda_l2": 1.0}


def world(seed: int) -> tuple[pa.Table, np.ndarray]:
    """Rows and the chance of each to be positive; about 3% are."""
    random, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    effect = fixed.normal(scale=1.5, size=VALUES)
    codes = np.minimum(random.zipf(1.3, ROWS) - 1, 10 * VALUES) % VALUES
    one, two = random.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-(effect[codes] + 0.8 * one + 0.5 * one * two - 4.5)))
    columns = {"one": one, "two": two, "kind": [f"kind {code}" for code in codes.tolist()]}
    return pa.table({**columns, "label": random.random(ROWS) < chance}), chance


def precisions() -> dict[str, float]:
    """Average precision on later rows, by who scores them."""
    (train, _), (test, chance) = world(1), world(2)
    found = {}
    for name, columns in (("without", ["one", "two"]), ("ours", ["one", "two", "kind"])):
        model = new_model("boosted", {"rounds": ROUNDS, **SHARED})
        model.fit(examples_of(train, columns, "label"), None, seed=0, device="cpu")
        rows = examples_of(test, columns, "label")
        found[name] = average_precision(rows.labels, model.predict(rows.features))
    frames = [table.to_pandas().astype({"kind": "category"}) for table in (train, test)]
    frames[1]["kind"] = frames[1]["kind"].cat.set_categories(frames[0]["kind"].cat.categories)
    data = lightgbm.Dataset(frames[0][["one", "two", "kind"]], frames[0]["label"].astype(float))
    parameters = {**SHARED, "objective": "binary", "seed": 0, "num_threads": 1, "verbosity": -1}
    native = lightgbm.train(parameters, data, ROUNDS).predict(frames[1][["one", "two", "kind"]], num_threads=1)
    labels = test["label"].to_numpy()
    found["lightgbm"] = average_precision(labels, np.asarray(native))
    found["truth"] = average_precision(labels, chance)
    return found


def seconds() -> dict[str, float]:
    """CPU seconds of a training on 10^6 rows, and with a category of 10^6 values beside; the best of two in turns."""
    random = np.random.default_rng(3)
    numbers = {f"n{n}": random.normal(size=MANY).astype(np.float32) for n in range(8)}
    label = random.random(MANY) < 1 / (1 + np.exp(3 - numbers["n0"]))
    many = pa.array(random.integers(0, MANY, MANY)).cast(pa.string())
    table = pa.table({**numbers, "many": many, "label": label})
    best: dict[str, float] = {}
    for _ in range(2):
        for name, columns in (("without", list(numbers)), ("with", [*numbers, "many"])):
            start = time.process_time()
            model = new_model("boosted", {"rounds": 30, **SHARED})
            model.fit(examples_of(table, columns, "label"), None, seed=0, device="cpu")
            best[name] = min(best.get(name, np.inf), time.process_time() - start)
    return best


if __name__ == "__main__":
    aps, spent = precisions(), seconds()
    shown = {"average_precision": aps, "of_lightgbm": aps["ours"] / aps["lightgbm"], "cpu_seconds": spent}
    print(json.dumps({**shown, "times": spent["with"] / spent["without"]}, indent=1))
