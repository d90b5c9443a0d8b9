"""72 days of payments, the last 12 scored by a champion that learned from the first 30; assets that look at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from deltalake import write_deltalake

from assets import business, drift, ground_truth
from assets.run_context import AS_OF_TAG
from jobs import settings
from jobs.datasets import history
from jobs.features import window_tables
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.registry.champion_bundles import Champions
from jobs.scoring import batch, prediction_log
from jobs.settings import Settings
from jobs.times import midnight
from jobs.use_case import UseCase, problem_of
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
FIRST, DAYS, SCORED, A_DAY = date(2026, 3, 1), 72, 12, 150
AS_OF = datetime(2026, 3, 1, tzinfo=UTC) + DAYS * DAY
LAST = (AS_OF - DAY).date()
NIGHTS = [LAST - n * DAY for n in range(SCORED - 1, -1, -1)]
NAMES = ("tx_amount", "customer_tx_count_1d", "customer_amount_mean_7d", "terminal_amount_mean_7d", "hour_of_day")
LOG = prediction_log.table(FRAUD)
PROBLEM = problem_of(FRAUD)
PARTITIONS = dg.DailyPartitionsDefinition(start_date=FIRST.isoformat())


class One(Champions):
    """The champion, at any time, whatever the registry holds."""

    def __init__(self, home: settings.Settings, model: tuple[int, Bundle]) -> None:
        super().__init__(home)
        self._model = model

    def at(self, use_case: UseCase, moment: datetime | None) -> tuple[int, Bundle] | None:
        return self._model

    def version(self, use_case: UseCase, version: int) -> tuple[int, Bundle]:
        assert self._model[0] == version
        return self._model

    def bundle(self, use_case: UseCase, version: int, sha256: str) -> Bundle:
        return self.version(use_case, version)[1]


@dataclass
class World:
    lakehouse: Lakehouse
    champion: Bundle

    def materialized(self, *names: str, as_of: datetime = AS_OF, html: bool = False) -> Shown:
        built = [
            *ground_truth.build(FRAUD, PARTITIONS),
            *drift.build(self.lakehouse.settings, FRAUD),
            *business.build(FRAUD),
        ]
        assets = [a for a in built if a.key.path[-1] in names]
        told = {"ops": {"fraud__monitoring__drift": {"config": {"html": html}}}} if "drift" in names else None
        result = dg.materialize(
            assets,
            tags={AS_OF_TAG: as_of.isoformat()},
            resources={"lakehouse": self.lakehouse, "champions": One(self.lakehouse.settings, (7, self.champion))},
            run_config=told,
        )
        made = [e.step_materialization_data.materialization for e in result.get_asset_materialization_events()]
        metadata = {m.asset_key.path[-1]: {k: v.value for k, v in m.metadata.items()} for m in made}
        return Shown(metadata, {c.check_name: c for c in result.get_asset_check_evaluations()})

    def log(self) -> pl.DataFrame:
        return pl.DataFrame(self.lakehouse.to_arrow(LOG))


@dataclass
class Shown:
    metadata: dict[str, dict[str, Any]]
    checks: dict[str, Any]


def events(generator: np.random.Generator) -> pl.DataFrame:
    """Payments at whole seconds; a tenth of them exactly a day after one of the same customer."""
    rows = DAYS * A_DAY
    seconds = np.sort(generator.integers(0, DAYS * 86_400, rows))
    customers = generator.integers(0, 60, rows)
    twins = generator.choice(rows, rows // 10, replace=False)
    twins = twins[seconds[twins] < (DAYS - 1) * 86_400]
    seconds = np.concatenate([seconds, seconds[twins] + 86_400])
    customers = np.concatenate([customers, customers[twins]])
    times = [datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(seconds=int(s)) for s in seconds]
    known = {"version": 1, "superseded_at": None, "loaded_in": 1}
    return pl.DataFrame(
        {
            "transaction_id": np.arange(len(times)),
            "tx_datetime": times,
            "customer_id": customers,
            "terminal_id": generator.integers(0, 20, len(times)),
            "tx_amount": np.round(generator.gamma(2, 25, len(times)), 2),
            "known_at": times,
            **known,
            "first_event_date": [time.date() for time in times],
            "event_date": [time.date() for time in times],
        },
        schema_overrides={
            "superseded_at": pl.Datetime("us", "UTC"), "version": pl.Int64, "loaded_in": pl.Int64,
            "tx_datetime": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC"),
        },
    )  # fmt: skip


def reports(payments: pl.DataFrame, generator: np.random.Generator) -> pl.DataFrame:
    """Large payments tend to be fraud, and are reported after four days, as a rule."""
    chance = 1 / (1 + np.exp(5 - payments["tx_amount"].to_numpy() / 25))
    frauds = payments.filter(generator.random(len(chance)) < chance)
    delays = 4 * np.exp(0.8 * generator.standard_normal(frauds.height))
    known = [t + timedelta(days=float(d)) for t, d in zip(frauds["tx_datetime"], delays, strict=True)]
    about = frauds.select("transaction_id", "customer_id", "terminal_id", "tx_datetime", "superseded_at", "loaded_in")
    return about.with_columns(
        pl.lit(True).alias("is_fraud"), pl.Series("known_at", known, pl.Datetime("us", "UTC")), frauds["event_date"]
    )


def built(folder: Path) -> World:
    """The world, in a home of its own."""
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    lakehouse, generator = attach(home), np.random.default_rng(3)
    payments = events(generator)
    for table, rows in ((FRAUD.events, payments), (FRAUD.labels, reports(payments, generator))):
        write_deltalake(lakehouse.path(table), rows.to_arrow(), partition_by=["event_date"])
    features(lakehouse)
    champion = made(folder / "champion", history.read(lakehouse, FRAUD))
    batch.score_days(lakehouse, FRAUD, NIGHTS, AS_OF, lambda moment: (7, champion))
    promote(home, champion)
    return World(lakehouse, champion)


def features(lakehouse: Lakehouse) -> None:
    """What a night makes of events and labels."""
    for windows in FRAUD.windows:
        decided = LOG if lakehouse.exists(LOG) else None
        window_tables.update(
            lakehouse, windows, FRAUD.events, FRAUD.labels, FRAUD.window_table(windows), AS_OF, decisions=decided
        )
    history.build(lakehouse, FRAUD, AS_OF)
    registered_inputs.register(lakehouse.settings, FRAUD, registered_inputs.Inputs({}, FIRST, LAST))


def promote(home: Settings, champion: Bundle) -> None:
    """The champion of the nights that are scored."""
    since = midnight(NIGHTS[0])
    promotions.decide(
        home, PromotionDecision("fraud", since, since, "promotion", "promoted", "", "x", True, 7, champion.sha256, None)
    )


def made(folder: Path, known: history.History) -> Bundle:
    places = [known.names.index(name) for name in NAMES]
    early = known.days < known.days[0] + 30
    labels = known.labels_at(AS_OF)[early] == 1
    model = new_model("logistic", {})
    model.fit(Examples(known.features[early][:, places], labels, None, NAMES), None, seed=0, device="cpu")
    first = datetime.combine(FIRST, datetime.min.time(), UTC)
    as_of, windows = first + 60 * DAY, {"maturity_days": 14, "judged_start": (first + 44 * DAY).isoformat()}
    features = tuple((name, "float32") for name in NAMES)
    manifest = Manifest("fraud", "logistic", features, 0.5, as_of.isoformat(), {"windows": windows})
    return bundle.write(folder, model, manifest)
