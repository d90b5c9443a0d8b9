"""The rows that models are judged on: the latest mature ones, with the guard slices of their use case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.judged_rows import END, START, TABLE, rows_in
from worlds.judged_world import AS_OF, DAY, PROBLEM, USE_CASE, table_of, write_training_set

from jobs import settings
from jobs.evaluation import evaluation_rows
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Groups, Problem, Slice


def read(lakehouse: Lakehouse, problem: Problem = PROBLEM) -> evaluation_rows.EvaluationRows:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    return evaluation_rows.read(lakehouse, USE_CASE, problem, version, AS_OF)


def test_judged_are_the_latest_mature_rows_and_no_other(lakehouse: Lakehouse) -> None:
    rows = read(lakehouse)
    expected = rows_in(15, 5)
    assert sorted(rows.column("transaction_id")) == expected["transaction_id"].to_pylist()
    assert (rows.start, rows.end) == (START, END) and len(rows) == expected.num_rows
    assert rows.labels.sum() == sum(expected["is_fraud"].to_pylist())


@pytest.mark.parametrize(("unseen", "longest", "begins"), [(30, 56, 30), (30, 20, 25), (12, 56, 15), (15, 56, 15)])
def test_the_rows_since_the_models_were_trained_are_pooled(
    lakehouse: Lakehouse, unseen: int, longest: int, begins: int
) -> None:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    problem = replace(PROBLEM, longest_evaluation_window=longest * DAY)
    rows = evaluation_rows.read(lakehouse, USE_CASE, problem, version, AS_OF, AS_OF - unseen * DAY)
    assert (rows.start, rows.end) == (AS_OF - begins * DAY, END) and len(rows) == rows_in(begins, 5).num_rows


def test_the_window_is_open_at_its_start_and_closed_at_its_end(tmp_path: Path) -> None:
    instant = timedelta(microseconds=1)
    moments = [START, START + instant, END, END + instant]
    table = table_of(seed=2, rows=4).set_column(1, "tx_datetime", pa.array(moments, pa.timestamp("us", "UTC")))
    table = table.set_column(9, "event_date", pa.array([m.date() for m in moments]))
    own = write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path)}), table)
    assert sorted(read(own).column("transaction_id")) == [1, 2]


def test_slices_are_bounds_values_and_groups_of_profiles(tmp_path: Path) -> None:
    own = write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path)}), TABLE)
    regions = ["north", "south", None]
    customers = sorted(set(TABLE["customer_id"].to_pylist()))[:-1]  # one has no profile
    profile = [(c, regions[c % 3], AS_OF - 50 * DAY) for c in customers]
    profile += [(3, "moved", AS_OF - 2 * DAY), (6, "not yet", AS_OF + DAY)]
    columns = zip(*profile, strict=True)
    names = ("customer_id", "region", "known_at")
    write_deltalake(own.path("fraud_raw.customers"), pa.table(dict(zip(names, map(list, columns), strict=True))))
    guards = (
        Slice("small", "tx_amount", maximum=20),
        Slice("middle", "tx_amount", minimum=20, maximum=50),
        Slice("south_only", "region", values=("south",), source="customers"),
        Groups("amount", "tx_amount", edges=(20, 50)),
        Groups("region", "region", source="customers"),
    )
    rows = read(own, replace(PROBLEM, slices=guards))
    amounts, customer = rows.column("tx_amount"), rows.column("customer_id")
    region = np.array(["moved" if c == 3 else regions[c % 3] if c in set(customers) else None for c in customer])
    expected = {
        "small": amounts < 20,
        "middle": (amounts >= 20) & (amounts < 50),
        "south_only": region == "south",
        "amount:below 20": amounts < 20,
        "amount:20 to 50": (amounts >= 20) & (amounts < 50),
        "amount:from 50": amounts >= 50,
        "region:north": region == "north",
        "region:south": region == "south",
        "region:moved": region == "moved",
    }
    if not (customer == 3).any():
        del expected["region:moved"]
    assert list(rows.slices) and rows.slices.keys() == expected.keys() and rows.left_out == ()
    for name, mask in expected.items():
        np.testing.assert_array_equal(rows.slices[name], mask.astype(bool), err_msg=name)


def test_declarations_that_cannot_be_guarded_are_refused(lakehouse: Lakehouse) -> None:
    with pytest.raises(ValueError, match="expected column 'colour'"):
        read(lakehouse, replace(PROBLEM, slices=(Slice("red", "colour", values=("red",)),)))
    with pytest.raises(ValueError, match="expected at most 50 values of 'customer_id'"):
        read(lakehouse, replace(PROBLEM, slices=(Groups("customer", "customer_id"),)))
