"""Days that the decision service alone decided feed what nights feed: the same figures of the same scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake
from worlds import monitored_world
from worlds.monitored_world import AS_OF, LAST, NAMES, NIGHTS, PROBLEM, One, Shown, World

from jobs import settings
from jobs.decisions import opened, shipping
from jobs.decisions.outcome import Outcome
from jobs.decisions.scores import Scored
from jobs.decisions.started import Started
from jobs.ground_truth import outcomes, performance_table
from jobs.lakehouse import engine
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.retraining import nightly_evidence
from jobs.retraining.policy import Evidence
from jobs.scoring.logged_days import logged_days
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

COLUMNS = ("transaction_id", "customer_id", "terminal_id", "tx_amount", "tx_datetime")
SHOWN = ("label_maturity", "performance", "estimate", "drift", "skew")


@dataclass
class Champion:
    """The scores of the model as nights gave them, one event after the other."""

    scores: dict[int, float]
    sha256: str
    id: int = 0
    fallback: Any = None

    def __call__(self, rows: Sequence[list[Any]]) -> list[Scored]:
        [_] = rows
        score = self.scores[self.id]
        return [Scored(Outcome(score, "review" if score >= 0.5 else "approve"), "7", self.sha256)]


@dataclass
class Service:
    """A decision service whose clock is that of the events."""

    home: settings.Settings
    champion: Champion
    now: int = 0

    def decide(self, payments: pl.DataFrame) -> None:
        self.now = microseconds(payments["tx_datetime"][0])
        with opened.lease(self.home, FRAUD) as handle:
            opened.renew(self.home, FRAUD, handle, lambda: self.now)
            decider = opened.open_decider(self.home, FRAUD, lambda: self.now)
            try:
                for row in payments.select(COLUMNS).to_dicts():
                    self.now, self.champion.id = microseconds(row["tx_datetime"]), row["transaction_id"]
                    event = row | {"tx_datetime": row["tx_datetime"].isoformat()}
                    started = decider.start(decider.schema.read(event))
                    assert isinstance(started, Started)
                    decider.finish(started, self.champion)
            finally:
                decider.close()


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = monitored_world.built(tmp_path_factory.mktemp("nightly"))
    yield found
    engine.stop(found.lakehouse.settings)


@pytest.fixture(scope="module")
def served(nightly: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same world, where no night scored the last twelve days: its service decided them by the same model."""
    home = settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("served") / "home")})
    lakehouse, first = attach(home), NIGHTS[0]
    tables = {name: pl.DataFrame(nightly.lakehouse.to_arrow(name)) for name in (FRAUD.events, FRAUD.labels)}
    for name, rows in tables.items():
        write(lakehouse, name, rows.filter(pl.col("event_date") < first))
    log = nightly.log()
    champion = Champion(dict(zip(log["transaction_id"], log["score"], strict=True)), nightly.champion.sha256)
    later = tables[FRAUD.events].filter(pl.col("event_date") >= first).sort("tx_datetime", "transaction_id")
    Service(home, champion).decide(later)
    for name, rows in tables.items():
        write(lakehouse, name, rows.filter(pl.col("event_date") >= first))
    shipped = shipping.ship(lakehouse, FRAUD)
    assert shipped.rows == later.height == log.height and not shipped.waiting
    monitored_world.features(lakehouse)
    monitored_world.promote(home, nightly.champion)
    yield World(lakehouse, nightly.champion)
    engine.stop(home)


def write(lakehouse: Lakehouse, name: str, rows: pl.DataFrame) -> None:
    write_deltalake(lakehouse.path(name), rows.to_arrow(), mode="append", partition_by=["event_date"])


def test_ground_truth_sees_the_same_scores_with_the_same_labels(nightly: World, served: World) -> None:
    one, other = (outcomes.outcomes(each.lakehouse, FRAUD, PROBLEM, AS_OF) for each in (nightly, served))
    assert one is not None and other is not None and len(one.scored) > 1000
    for name in ("times", "scores", "versions", "positive", "known_at", "amounts", "entities"):
        assert np.array_equal(getattr(one.scored, name), getattr(other.scored, name)), name
    assert np.array_equal(one.scored.delay.shares, other.scored.delay.shares)
    days = [logged_days(each.lakehouse, FRAUD, AS_OF, NIGHTS[0]) for each in (nightly, served)]
    assert days[0] is not None and days[1] is not None and days[1].has_online
    assert replace(days[1], has_online=False) == days[0]


def test_the_assets_show_the_same_figures(nightly: World, served: World) -> None:
    one, other = (each.materialized(*SHOWN) for each in (nightly, served))
    for name in SHOWN:
        numbers = [_numbers(shown, name) for shown in (one, other)]
        assert numbers[0] == numbers[1] and numbers[0], name
    assert {name: check.passed for name, check in other.checks.items()} == dict.fromkeys(one.checks, True)
    assert other.metadata["skew"]["rows_compared"] > 300 and other.metadata["skew"]["features_compared"] == len(NAMES)
    tables = [performance_table.of(FRAUD, PROBLEM).read(each.lakehouse, NIGHTS[0]) for each in (nightly, served)]
    # The service keeps every feature, so that slices can be of features that this model does not use.
    tables[1] = tables[1].filter(pl.col("slice").is_in(tables[0]["slice"].unique().implode()))
    order = ["event_date", "slice", "metric"]
    assert tables[0].sort(order).equals(tables[1].sort(order)) and tables[0]["event_date"].max() == LAST


def _numbers(shown: Shown, name: str) -> dict[str, Any]:
    """Numbers on the page of an asset, but for rows and versions of tables."""
    return {
        key: value
        for key, value in shown.metadata[name].items()
        if isinstance(value, int | float) and "version" not in key and not key.startswith("dagster/")
    }


def test_the_policy_is_told_the_same(nightly: World, served: World) -> None:
    told = [evidence(each) for each in (nightly, served)]
    assert told[0].scores == told[1].scores and told[0].scores["drift"] > 0
    assert replace(told[0], versions={}) == replace(told[1], versions={})


def evidence(world: World) -> Evidence:
    champions = One(world.lakehouse.settings, (7, world.champion))
    return nightly_evidence.evidence(world.lakehouse, FRAUD, champions, AS_OF)[0]
