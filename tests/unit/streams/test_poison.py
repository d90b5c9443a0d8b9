"""A message that makes reading fail is found among all others, and goes to quarantine alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from worlds.streamed_runs import made, run
from worlds.streamed_world import PAYMENTS, busy_days, contents, stored

from jobs.ingest import contracts, quarantine
from jobs.streams import verify
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS


@pytest.mark.parametrize("error", [RuntimeError, pl.exceptions.PanicException])
def test_the_one_message_is_in_quarantine_and_all_others_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    world = made(tmp_path, 1)
    busy_days(world, 40)
    poison = json.loads(next(m.value for m in world.messages if m.topic == PAYMENTS and m.value))["transaction_id"]
    split = contracts.split

    def failing(frame: pl.DataFrame, checks: Any) -> Any:
        if "transaction_id" in frame.columns and (frame["transaction_id"] == poison).any():
            raise error("nobody foresaw it")
        return split(frame, checks)

    monkeypatch.setattr(contracts, "split", failing)
    run(world)
    monkeypatch.undo()
    expected = [row for row in contents(world, PAYMENTS) if row[0] != str(poison)]
    assert stored(world, TRANSACTIONS) == expected
    kept = world.lakehouse.to_arrow(quarantine.table_of(FRAUD.raw_table(TRANSACTIONS))).to_pylist()
    mine = [row for row in kept if row["reasons"] == f"could not be taken: {error.__name__}"]
    assert {json.loads(json.loads(row["row"])["message"])["transaction_id"] for row in mine} == {poison}
    world.night()
    assert verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD)).different == 0
