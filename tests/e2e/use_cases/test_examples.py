"""The projects below `examples/`, run as they lie there: to a champion, with tables that plain loops agree with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from jobs import settings
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import ROOT

pytestmark = pytest.mark.embedded
NOT_PASSED = ("SPARK_REMOTE", "EVERGREEN_HOME")
DAY = timedelta(days=1)


def evergreen(folder: Path, *arguments: str) -> None:
    environ = {name: text for name, text in os.environ.items() if name not in NOT_PASSED} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def built(name: str, folder: Path) -> Lakehouse:
    """A copy of an example, after a run and its own tests."""
    shutil.copytree(ROOT / "examples" / name, folder / name, ignore=shutil.ignore_patterns(".evergreen"))
    evergreen(folder / name, "run")
    evergreen(folder / name, "test", "-q")
    house = attach(settings.load({"EVERGREEN_PROJECT": str(folder / name)}))
    assert house.to_arrow(f"{name}_features.training_set").num_rows > 1000
    return house


def table(house: Lakehouse, name: str, *columns: str) -> pl.DataFrame:
    return pl.DataFrame(house.to_arrow(name, columns=list(columns) or None))


def test_churn_asks_of_each_customer_each_monday(tmp_path: Path) -> None:
    house = built("churn", tmp_path)
    orders = table(house, "churn_raw.orders", "customer_id", "invoiced_at")
    first = orders.group_by("customer_id").agg(first=pl.col("invoiced_at").min())
    targets = table(house, "churn.targets", "target_id", "customer_id", "at").filter(
        pl.col("at") <= datetime(2010, 12, 1, tzinfo=UTC)
    )
    local = targets["at"].dt.convert_time_zone("Europe/London")
    assert local.dt.weekday().unique().to_list() == [1] and local.dt.hour().unique().to_list() == [6]
    mondays = targets.select("at").unique()
    expected = first.join(mondays, how="cross").filter(pl.col("first") <= pl.col("at"))
    assert (
        expected.select("customer_id", "at")
        .sort("customer_id", "at")
        .equals(targets.select("customer_id", "at").sort("customer_id", "at"))
    )
    labels = table(house, "churn.labels", "target_id", "stays_away", "known_at")
    mature = targets.filter(pl.col("at") + 30 * DAY <= orders["invoiced_at"].max())
    after = mature.join(orders, on="customer_id").filter(
        (pl.col("invoiced_at") > pl.col("at")) & (pl.col("invoiced_at") <= pl.col("at") + 30 * DAY)
    )
    wanted = mature.select("target_id", stays_away=~pl.col("target_id").is_in(after["target_id"].unique().implode()))
    assert labels.select("target_id", "stays_away").sort("target_id").equals(wanted.sort("target_id"))
    windows = table(house, "churn_features.orders_windows", "target_id", "orders_30d")
    before = targets.join(orders, on="customer_id").filter(
        (pl.col("invoiced_at") <= pl.col("at")) & (pl.col("invoiced_at") > pl.col("at") - 30 * DAY)
    )
    counted = before.group_by("target_id").agg(wanted=pl.len().cast(pl.Int64))
    both = windows.join(counted, on="target_id", how="left")
    assert (
        both.height == targets.height and both.filter(pl.col("orders_30d") != pl.col("wanted").fill_null(0)).is_empty()
    )


def test_late_delivery_knows_carriers_as_they_were(tmp_path: Path) -> None:
    house = built("late_delivery", tmp_path)
    carriers = table(house, "late_delivery_raw.carriers", "carrier_id", "valid_from", "fleet", "rating")
    rows = table(
        house, "late_delivery_features.training_set", "shipment_id", "carrier_id", "left_at", "fleet", "rating"
    )
    then = rows.sort("left_at").join_asof(
        carriers.sort("valid_from"), left_on="left_at", right_on="valid_from", by="carrier_id", suffix="_then"
    )
    assert then.filter(pl.col("fleet").ne_missing(pl.col("fleet_then"))).is_empty()
    assert then.filter(pl.col("rating").ne_missing(pl.col("rating_then"))).is_empty()
    changed = then.group_by("carrier_id").agg(pl.col("rating").n_unique())
    assert changed.filter(pl.col("rating") > 1).height > 10, "carriers changed within the training set"


def test_support_tickets_are_read_word_by_word(tmp_path: Path) -> None:
    house = built("support_tickets", tmp_path)
    log = table(house, "support_tickets_serving.prediction_log")
    assert log.height > 0 and log["model_version"].n_unique() == 1
