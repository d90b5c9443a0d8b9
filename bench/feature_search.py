"""What a search finds from the amount alone, on the handbook's test weeks: `bench/feature_search.py --data FILE`.

The search sees what was known when the first test week begins; its features and the declared ones are then measured on
all four weeks, with the trees and the protocol of `bench/backtest.py`.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from backtest import METRICS, WEEKS
from common import REPORTS

from jobs import settings
from jobs.backtesting import fold_rows, folds
from jobs.backtesting.fold_days import Fold
from jobs.backtesting.fold_rows import KNOWN
from jobs.feature_search.search import Found, search
from jobs.feature_search.space import computed, with_all_entities
from jobs.features import window_runs
from jobs.lakehouse.tables import Lakehouse
from jobs.models.tables import examples_of
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

RESULT = REPORTS / "feature_search.json"
MINUTES = 30
SEEDS = (0, 1)


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/feature_search.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="transactions of the Fraud Detection Handbook")
    asked = parser.parse_args()
    from orchestration.prepared_features import prepared

    with prepared(settings.load(), FRAUD, {"transactions": (asked.data,)}, None) as (lakehouse, _):
        found = search(lakehouse, FRAUD, Fold(WEEKS["test"][0]).moment, 60 * MINUTES, from_nothing=True, report=print)
        columns = _columns(lakehouse, found)
        by_hand = _measured(lakehouse, columns, list(fold_rows.feature_names(lakehouse, FRAUD)))
        of_search = _measured(lakehouse, columns, [*problem_of(FRAUD).inputs, *columns.columns[1:]])
    share = of_search["average_precision"] / by_hand["average_precision"]
    summary = found.summary()
    told = {name: summary[name] for name in ("average_precision", "proposed", "seconds", "rows", "positives")}
    measured = {"declared": by_hand, "searched": of_search, "share": round(share, 4), "search": told}
    RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def _columns(lakehouse: Lakehouse, found: Found) -> pl.DataFrame:
    """The proposed features of every event, behind its id."""
    candidates = [proposal.candidate for proposal in found.proposals]
    tables = []
    for windows in with_all_entities(FRAUD).windows:
        chosen = computed(windows, candidates)
        if not chosen.aggregates:
            continue
        events, labels = lakehouse.scan(FRAUD.events), lakehouse.scan(FRAUD.labels)
        assert events is not None
        rows = window_runs.run(lakehouse, chosen, events, labels if chosen.reads_labels else None)
        assert isinstance(rows, pa.RecordBatchReader)
        tables.append(pl.DataFrame(rows.read_all()).select(FRAUD.event_id, *chosen.names))
    together, *others = tables
    for table in others:
        together = together.join(table, on=FRAUD.event_id)
    return together


def _measured(lakehouse: Lakehouse, columns: pl.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    problem = problem_of(FRAUD)
    family, found = problem.family("boosted"), []
    for first in WEEKS["test"]:
        fold = Fold(first)
        rows = fold_rows.rows_of(lakehouse, FRAUD, fold).join(
            columns, on=FRAUD.event_id, how="left", suffix="_searched"
        )
        known = fold_rows.known_rows(lakehouse, FRAUD, rows, fold).sort(FRAUD.event_timestamp, FRAUD.event_id)
        test = fold_rows.test_rows(rows, FRAUD, problem, fold)
        train, later = (
            examples_of(part.select(*names, label).to_arrow(), names, label)
            for part, label in ((known, KNOWN), (test, FRAUD.label))
        )
        for seed in SEEDS:
            model = folds.fitted(family, family.fixed, train, seed)
            found.append(folds.fold_metrics(test, model.predict(later.features), FRAUD, problem))
    return {name: round(statistics.mean(one[name] for one in found), 4) for name in METRICS}


if __name__ == "__main__":
    main()
