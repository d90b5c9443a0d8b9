"""What a log says about another policy: of events whose labels are mature and seen, and that a model can score."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake
from worlds.judged_world import fitted, table_of
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA

from jobs import settings
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.off_policy import policy_log
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.scoring import prediction_log
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

DAY = timedelta(days=1)
FIRST, DAYS, A_DAY = datetime(2026, 4, 1, tzinfo=UTC), 30, 40
AS_OF = FIRST + DAYS * DAY
MATURE = DAYS - FRAUD.label_maturity.days
NAMES = ("x1", "x2")


class Versions(Champions):
    """Bundles by version."""

    bundles: dict[int, Bundle]

    def version(self, use_case: UseCase, version: int) -> tuple[int, Bundle]:
        return version, self.bundles[version]

    def at(self, use_case: UseCase, moment: datetime | None) -> tuple[int, Bundle] | None:
        return 1, self.bundles[1]


def logged(n: int, **other: Any) -> dict[str, Any]:
    """The row of an event."""
    time = FIRST + n * DAY / A_DAY
    return {
        "transaction_id": n, "customer_id": n % 50, "terminal_id": 1, "tx_datetime": time, "scored_at": time,
        "score": 0.5, "decision": False, "model_version": 1, "arm": "champion", "propensity": 1.0, "origin": "online",
        "verdict": "approve", "event_date": time.date(), "x1": float(n % 7), "x2": float(n % 5), **other,
    }  # fmt: skip


def is_fraud(n: int) -> bool:
    return n % 4 == 0


@pytest.fixture
def world(tmp_path: Path) -> tuple[Lakehouse, Versions]:
    """A month of events whose labels come after a day, and two models, of which the second has another feature."""
    lakehouse = attach(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}))
    events, labels = [], []
    for n in range(DAYS * A_DAY):
        time = FIRST + n * DAY / A_DAY
        known = {"superseded_at": None, "loaded_in": 1, "event_date": time.date()}
        about = {"transaction_id": n, "customer_id": n % 50, "terminal_id": 1, "tx_datetime": time, **known}
        events.append({**about, "tx_amount": 10.0 + n, "known_at": time, "version": 1, "first_event_date": time.date()})
        if is_fraud(n):
            labels.append({**about, "is_fraud": True, "known_at": time + DAY})
    for table, rows, schema in ((FRAUD.events, events, EVENT_SCHEMA), (FRAUD.labels, labels, LABEL_SCHEMA)):
        write_deltalake(lakehouse.path(table), pa.Table.from_pylist(rows, schema=schema), partition_by=["event_date"])
    champions = Versions(lakehouse.settings)
    windows = {"windows": {"maturity_days": 14, "judged_start": (FIRST + 2 * DAY).isoformat()}}
    made = {1: NAMES, 2: (*NAMES, "x3")}
    champions.bundles = {
        version: fitted(tmp_path / str(version), table_of(version, 3000), names, training=windows)
        for version, names in made.items()
    }
    return lakehouse, champions


def write(lakehouse: Lakehouse, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    for name in NAMES:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.float32()))
    where = lakehouse.path(prediction_log.table(FRAUD))
    write_deltalake(where, table, mode="overwrite", schema_mode="overwrite", partition_by=["event_date"])


def test_mature_events_that_the_model_did_not_learn_from_are_scored(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world
    write(lakehouse, [logged(n) for n in range(DAYS * A_DAY)])
    found = policy_log.read(lakehouse, FRAUD, champions, 1, AS_OF)
    taken = np.arange(2 * A_DAY + 1, MATURE * A_DAY + 1)
    assert len(found) == len(taken) and found.days == MATURE - 2 + 1
    assert found.labels.tolist() == [is_fraud(n) for n in taken.tolist()]
    assert (found.amounts == 10.0 + taken).all()
    assert (found.weights == 1).all() and found.unseen == 0 and not found.alerted.any()
    assert len(set(found.scores)) > 10 and found.notes == ()


def test_arms_count_by_their_chance_only_where_something_was_blocked(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world

    def row(n: int, verdict: str) -> dict[str, Any]:
        arm, chance = (("3:champion", 0.8), ("3:v2", 0.2))[n % 5 == 0] if n % 2 else ("champion", 1.0)
        return logged(n, arm=arm, propensity=chance, verdict=verdict)

    write(lakehouse, [row(n, "review") for n in range(DAYS * A_DAY)])
    assert (policy_log.read(lakehouse, FRAUD, champions, 1, AS_OF).weights == 1).all()
    write(lakehouse, [row(n, "block" if n % 10 == 3 else "approve") for n in range(DAYS * A_DAY)])
    found = policy_log.read(lakehouse, FRAUD, champions, 1, AS_OF)
    numbers = np.rint(found.amounts - 10).astype(int)
    expected = np.where(numbers % 10 == 3, 0.0, np.where(numbers % 2 == 0, 1.0, np.where(numbers % 5 == 0, 0.0, 1.25)))
    assert found.weights == pytest.approx(expected)
    assert found.unseen == pytest.approx(0.125 / (0.5 + 0.5), rel=0.02)
    assert (found.alerted == found.blocked).all()


def test_events_that_might_have_been_let_through_had_a_chance(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world
    kinds = {0: {"verdict": "block", "propensity": 0.75}, 1: {"verdict": "approve", "propensity": 0.25}}
    write(lakehouse, [logged(n, **kinds.get(n % 4, {})) for n in range(DAYS * A_DAY)])
    found = policy_log.read(lakehouse, FRAUD, champions, 1, AS_OF)
    assert found.unseen == 0 and set(found.weights) == {0.0, 1.0, 4.0}


def test_rows_of_models_without_a_feature_are_left_out(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world
    rows = [logged(n) for n in range(DAYS * A_DAY)]
    write(lakehouse, rows)
    with pytest.raises(ValueError, match="found none of x3; decide by it in the shadow first"):
        policy_log.read(lakehouse, FRAUD, champions, 2, AS_OF)
    later = FIRST + 8 * DAY
    write(lakehouse, [{**row, "x3": 0.5, "model_version": 1 + (row["tx_datetime"] > later)} for row in rows])
    found = policy_log.read(lakehouse, FRAUD, champions, 2, AS_OF)
    assert found.amounts.min() == 10 + 8 * A_DAY + 1
    assert found.notes == (
        f"{8 * A_DAY + 1:,} events are left out: the models that decided them had not all features of this one",
    )


def test_a_log_of_before_decisions_online_has_no_verdicts(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world
    old = [{**logged(n, origin="nightly", decision=n % 3 == 0)} for n in range(DAYS * A_DAY)]
    write(lakehouse, [{name: value for name, value in row.items() if name != "verdict"} for row in old])
    found = policy_log.read(lakehouse, FRAUD, champions, 1, AS_OF)
    assert (found.alerted == (np.rint(found.amounts - 10) % 3 == 0)).all() and not found.blocked.any()


def test_without_mature_events_it_says_so(world: tuple[Lakehouse, Versions]) -> None:
    lakehouse, champions = world
    with pytest.raises(ValueError, match="expected a prediction log, found none"):
        policy_log.latest_moment(lakehouse, FRAUD, AS_OF)
    write(lakehouse, [logged(n) for n in range(DAYS * A_DAY)])
    assert policy_log.latest_moment(lakehouse, FRAUD, AS_OF) == AS_OF
    assert policy_log.latest_moment(lakehouse, FRAUD, AS_OF + 900 * DAY) == AS_OF + FRAUD.label_maturity
    with pytest.raises(ValueError, match="expected mature events of after 2026-04-03"):
        policy_log.read(lakehouse, FRAUD, champions, 1, FIRST + 5 * DAY)


def test_the_command_prints_within_80_columns(
    world: tuple[Lakehouse, Versions], monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse, champions = world
    write(lakehouse, [logged(n, verdict="block" if n % 9 == 0 else "approve") for n in range(DAYS * A_DAY)])
    monkeypatch.setenv("EVERGREEN_HOME", str(lakehouse.settings.home))
    monkeypatch.setattr("jobs.registry.champion_bundles.Champions", lambda _: champions)
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["whatif", "--threshold", "0.01"])
    assert result.exit_code == 0, result.output
    table, _, _ = result.stdout.partition("alerts a day")
    assert max(map(len, table.splitlines())) <= 80 and "..." not in table, table
    assert "money saved a day" in result.stdout and "had no chance in the log" in result.stdout
    every = CliRunner().invoke(main, ["whatif", "--threshold", "0.01", "--all"]).stdout
    assert "self normalised" in every and "switch" in every
    told = CliRunner().invoke(main, ["whatif", "--json"]).stdout
    assert '"model": 1' in told and '"estimator": "doubly_robust"' in told
