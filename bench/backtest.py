"""Every family on the handbook's folds, beside the published numbers: `bench/backtest.py --data FILE [--families ...]`.

Validation weeks are measured too: features and parameters were chosen on them alone. First the protocol is checked with
the handbook's own 15 features: XGBoost if it can be imported (`pip install xgboost`), else a logistic regression and a
random forest, whose numbers are published as well.
"""

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import REPORTS

from jobs import settings
from jobs.backtesting import fold_rows
from jobs.backtesting import folds as backtest
from jobs.backtesting.fold_days import Fold
from jobs.backtesting.fold_rows import DAY_COLUMN
from jobs.lakehouse.tables import Lakehouse
from jobs.use_cases.fraud import FRAUD

RESULT = REPORTS / "backtest.json"
WEEKS = {
    "validation": (date(2018, 6, 20), date(2018, 6, 27), date(2018, 7, 4), date(2018, 7, 11)),
    "test": (date(2018, 7, 25), date(2018, 8, 1), date(2018, 8, 8), date(2018, 8, 15)),
}
METRICS = ("auc_roc", "average_precision", "card_precision_at_100")
HANDBOOK = [
    "tx_amount",
    "is_weekend",
    *(f"customer_{what}_{days}d" for what in ("tx_count", "amount_mean") for days in (1, 7, 30)),
    *(f"terminal_{what}_{days}d_delay_7d" for what in ("tx_count", "risk") for days in (1, 7, 30)),
]
PUBLISHED = {
    "XGBoost": (0.862, 0.639, 0.273),
    "Logistic regression": (0.871, 0.606, 0.291),
    "Random forest": (0.867, 0.658, 0.287),
}
"""Of the fold of chapter 3: train 07-25 to 07-31, test 08-08 to 08-14."""


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/backtest.json, family by family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="transactions of the Fraud Detection Handbook")
    parser.add_argument("--families", nargs="*", default=[family.name for family in _problem().families])
    parser.add_argument("--weeks", nargs="*", default=list(WEEKS), choices=list(WEEKS))
    asked = parser.parse_args()
    from orchestration.prepared_features import prepared

    with prepared(settings.load(), FRAUD, {"transactions": (asked.data,)}, None) as (lakehouse, _):
        pass
    measured = json.loads(RESULT.read_text()) if RESULT.exists() else {"families": {}}
    measured |= {"cores": os.cpu_count(), "handbook_features": _handbook(lakehouse)}
    _write(measured)
    for family in asked.families:
        for weeks in asked.weeks:
            measured["families"].setdefault(family, {})[weeks] = _measure(lakehouse, family, weeks)
            _write(measured)


def _problem() -> Any:
    return FRAUD.problem


def _write(measured: dict[str, Any]) -> None:
    RESULT.write_text(json.dumps(measured, indent=2) + "\n")


def _measure(lakehouse: Lakehouse, family: str, weeks: str) -> dict[str, Any]:
    folds = []
    for first in WEEKS[weeks]:
        found = backtest.run(lakehouse, FRAUD, Fold(first), (family,))
        kept = (*METRICS, "train_rows", "test_rows", "test_frauds", "seconds")
        folds.append({"train_from": str(first)} | {name: found[name] for name in kept})
        print(family, weeks, json.dumps(folds[-1]), file=sys.stderr)
    return {
        "mean": {name: round(statistics.mean(fold[name] for fold in folds), 4) for name in METRICS},
        "spread": {name: round(statistics.pstdev(fold[name] for fold in folds), 4) for name in METRICS},
        "parameters": found["parameters"],
        "negative_rate": found["negative_rate"],
        "folds": folds,
    }


def _handbook(lakehouse: Lakehouse) -> dict[str, Any]:
    """The fold of chapter 3 with the handbook's features and models, trained on the train week alone."""
    fold = Fold(WEEKS["test"][0])
    rows = fold_rows.rows_of(lakehouse, FRAUD, fold)
    days, cards = rows[DAY_COLUMN].to_numpy(), rows["customer_id"].to_numpy()
    labels = rows["is_fraud"].to_numpy()
    first = np.datetime64(fold.train_from)
    train = (days >= first) & (days < first + fold.train_days)
    test = fold_rows.in_test_set(cards, days, labels, fold)
    # The handbook's night includes the hour from six to seven.
    features = rows.select(*HANDBOOK, pl.col("hour_of_day") < 7).cast(pl.Float64).to_numpy()
    scaled = (features - features[train].mean(0)) / features[train].std(0)
    result: dict[str, Any] = {
        "train_rows": int(train.sum()), "train_frauds": int(labels[train].sum()),
        "test_rows": int(test.sum()), "test_frauds": int(labels[test].sum()), "models": {},
    }  # fmt: skip
    for name, model in _models().items():
        began = time.perf_counter()
        scores = model(scaled[train], labels[train], scaled[test])
        found = backtest.fold_metrics(rows.filter(pl.Series(test)), scores, FRAUD, _problem())
        mine = {metric: round(found[metric], 4) for metric in METRICS}
        result["models"][name] = mine | {
            "published": PUBLISHED[name],
            "seconds": round(time.perf_counter() - began, 1),
        }
        print(name, json.dumps(result["models"][name]), file=sys.stderr)
    return result


def _models() -> dict[str, Callable[[Any, Any, Any], Any]]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    def boosted(x: Any, y: Any, new: Any) -> Any:
        xgboost: Any = importlib.import_module("xgboost")
        # Today's defaults are a histogram of the features and a fitted base score; the handbook's were these.
        model = xgboost.XGBClassifier(tree_method="exact", base_score=0.5, random_state=0, n_jobs=1)
        return model.fit(x, y).predict_proba(new)[:, 1].astype(np.float64)

    def others(model: Any) -> Callable[[Any, Any, Any], Any]:
        return lambda x, y, new: model.fit(x, y).predict_proba(new)[:, 1]

    if importlib.util.find_spec("xgboost"):
        return {"XGBoost": boosted}
    return {
        "Logistic regression": others(LogisticRegression(random_state=0)),
        "Random forest": others(RandomForestClassifier(random_state=0, n_jobs=1)),
    }


if __name__ == "__main__":
    main()
