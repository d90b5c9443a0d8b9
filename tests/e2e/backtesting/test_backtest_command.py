"""`evergreen backtest` on a small simulated world: the whole lineage, then folds on what it kept."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_series_equal

from jobs.backtesting import fold_rows, folds
from jobs.backtesting.fold_days import BacktestError, Fold
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.simulate import simulator
from jobs.use_cases.fraud import FRAUD, PROBLEM
from orchestration import cli

FOLD = Fold(date(2026, 2, 1))


@pytest.fixture
def world(tmp_path: Path) -> Mapping[str, tuple[Path, ...]]:
    small = simulator.scenario("stable", days=60, customers=160, terminals=120)
    files = simulator.write(small, tmp_path / "world")
    return {name: (files[name],) for name in ("transactions", "reports")}


def test_a_fold_is_measured_on_what_was_known(
    home: Settings, world: Mapping[str, tuple[Path, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "fold.json"
    files = [argument for name, (file,) in world.items() for argument in (f"--{name}", str(file))]
    arguments = ["backtest", *files, "--train-from", "2026-02-01", "--out", str(out)]
    done = CliRunner(env={"EVERGREEN_HOME": str(home.home)}).invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    assert "average_precision" in done.output
    result = json.loads(out.read_text())
    wanted = {"auc_roc", "average_precision", "card_precision_at_100", "train_rows", "test_rows", "test_frauds"}
    assert wanted | {"family", "parameters", "seconds"} <= result.keys()
    assert result["family"] == "boosted" and 0 < result["test_frauds"] < result["test_rows"]
    assert result["average_precision"] > result["test_frauds"] / result["test_rows"]
    # Nothing younger than the delay of a label is trained on, unless it was reported by then.
    assert result["trained_on"][1] < str(FOLD.test_from)

    lakehouse = attach(replace(home, home=next((home.home / "prepared").iterdir())))
    rows = fold_rows.rows_of(lakehouse, FRAUD, FOLD)
    known = fold_rows.known_rows(lakehouse, FRAUD, rows, FOLD)
    reports = pl.read_parquet(world["reports"][0])
    assert_series_equal(_labels(known), _expected(known, reports), check_names=False)
    with pytest.raises(BacktestError, match="expected days of the file"):
        folds.run(lakehouse, FRAUD, Fold(date(2027, 1, 1)))
    with pytest.raises(BacktestError, match=r"--families: expected some of logistic, boosted, tabular_mlp, found oak"):
        folds.run(lakehouse, FRAUD, FOLD, ("oak",))
    with pytest.raises(BacktestError, match="declare it"):
        folds.run(lakehouse, replace(FRAUD, problem=None), FOLD)
    with pytest.raises(BacktestError, match="expected known labels of both classes"):
        folds.run(lakehouse, FRAUD, Fold(date(2026, 1, 1), 1, 0, 40))
    several = replace(FRAUD, problem=replace(PROBLEM, validation_window=timedelta(days=10)))
    best = folds.run(lakehouse, several, FOLD, ("logistic", "boosted"), trials=1)
    assert best["family"] in ("logistic", "boosted") and best["test_rows"] == result["test_rows"]


def _labels(known: pl.DataFrame) -> pl.Series:
    return known.sort("transaction_id")[fold_rows.KNOWN]


def _expected(known: pl.DataFrame, reports: pl.DataFrame) -> pl.Series:
    """The last report before the test days; without one, mature payments are legitimate."""
    moment = FOLD.moment.replace(tzinfo=None)
    told: dict[int, Any] = {}
    for row in reports.sort("FRAUD_REPORTED_AT").iter_rows(named=True):
        reported = row["FRAUD_REPORTED_AT"].replace(tzinfo=None)
        if reported <= moment:
            told[row["TRANSACTION_ID"]] = bool(row["TX_FRAUD"])
    return pl.Series([told.get(payment, False) for payment in known.sort("transaction_id")["transaction_id"]])
