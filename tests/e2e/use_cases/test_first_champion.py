"""Whatever the columns and however late the labels: a first run ends with somebody in production."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from worlds.disturbed_runs import USE_CASE

from jobs.ledger import promotions
from jobs.settings import Settings
from jobs.simulate import simulator
from jobs.use_case import UseCase
from orchestration import run_command

pytestmark = pytest.mark.embedded
COLUMNS = {"TRANSACTION_ID": "payment", "TX_DATETIME": "Paid at", "CUSTOMER_ID": "card", "TERMINAL_ID": "till",
           "TX_AMOUNT": "Euros"}  # fmt: skip
LATE = replace(USE_CASE, label_maturity=timedelta(days=14))


def run(own: Settings, use_case: UseCase, files: dict[str, Path], columns: Path | None = None) -> None:
    """A first run, which has to end with a champion."""
    given = {name: (files[name],) for name in ("transactions", "reports")}
    assert run_command.run(own, use_case, given, columns, None, show=False) == 0
    assert promotions.champion(own, use_case) is not None


def test_columns_of_other_names_and_columns_that_nobody_declared(home: Settings, tmp_path: Path) -> None:
    files = simulator.write(simulator.scenario("stable", days=24, customers=300, terminals=150), tmp_path)
    foreign = pl.read_parquet(files["transactions"]).rename(COLUMNS)
    foreign = foreign.with_columns(pl.lit("EUR").alias("currency"), pl.col("Euros").round(0).alias("Rounded"))
    foreign.with_columns(pl.col("Euros").cast(pl.String).str.replace(".", ",", literal=True)).write_csv(
        tmp_path / "payments.csv", separator=";"
    )
    names = "".join(f"  {name.lower()}: {theirs}\n" for name, theirs in COLUMNS.items() if name != "TX_AMOUNT")
    amount = '  tx_amount: {column: Euros, decimal: ","}\n'
    (tmp_path / "columns.yml").write_text(f"transactions:\n{names}{amount}")
    run(home, USE_CASE, {**files, "transactions": tmp_path / "payments.csv"}, tmp_path / "columns.yml")


def test_labels_that_come_weeks_after_their_events(home: Settings, tmp_path: Path) -> None:
    files = simulator.write(simulator.scenario("late_labels", days=60, customers=300, terminals=150), tmp_path)
    run(home, LATE, files)
