"""Categories: average precision against LightGBM's own on the same rows, and what a category of 10^6 values costs.

    python -m bench.categories

The truth is known: labels are drawn from chances that a category of 200 values and two numbers decide
(`jobs.simulate.category_world`). Average precisions are those of three pairs of samples.
"""

from __future__ import annotations

import json
import time

import lightgbm
import numpy as np
import pyarrow as pa

from jobs.models.catalog import new_model
from jobs.models.tables import examples_of
from jobs.simulate import category_world
from jobs.stats.metrics import average_precision

ROWS, MANY, PAIRS = 100_000, 1_000_000, 3
ROUNDS = 200
SHARED = {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.8, "lambda_l2": 1.0}


def precisions(pair: int) -> dict[str, float]:
    """Average precision on later rows, by who scores them, of one pair of samples."""
    (train, _), (test, chance) = (category_world.rows(2 * pair + n, ROWS) for n in (1, 2))
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
    """CPU seconds of a training on 10^6 rows, and with a category of 10^6 values beside, drawn evenly (none is known)
    or by their rank (thousands are); the best of two in turns."""
    random = np.random.default_rng(3)
    numbers = {f"n{n}": random.normal(size=MANY).astype(np.float32) for n in range(8)}
    label = random.random(MANY) < 1 / (1 + np.exp(3 - numbers["n0"]))
    many = pa.array(random.integers(0, MANY, MANY)).cast(pa.string())
    ranked = pa.array((MANY ** random.random(MANY)).astype(np.int64)).cast(pa.string())
    table = pa.table({**numbers, "many": many, "ranked": ranked, "label": label})
    best: dict[str, float] = {}
    for _ in range(2):
        for name, columns in (("without", []), ("many", ["many"]), ("ranked", ["ranked"])):
            start = time.process_time()
            model = new_model("boosted", {"rounds": 30, **SHARED})
            model.fit(examples_of(table, [*numbers, *columns], "label"), None, seed=0, device="cpu")
            best[name] = min(best.get(name, np.inf), time.process_time() - start)
    return best


if __name__ == "__main__":
    aps, spent = [precisions(pair) for pair in range(PAIRS)], seconds()
    shown = {"average_precision": aps, "of_lightgbm": [each["ours"] / each["lightgbm"] for each in aps]}
    times = {name: value / spent["without"] for name, value in spent.items()}
    print(json.dumps({**shown, "cpu_seconds": spent, "times": times}, indent=1))
