"""Reports as they should not come: of unknown payments, contradicting, withdrawn, none for a week, a month's at once.

And a day of payments that never came. The replay says what was known, alarms at none of it, and learns from what holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from jobs import settings
from jobs.datasets import history
from jobs.datasets.history import History
from jobs.ingest.quarantine import table_of
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.simulate.simulator import scenario, write
from jobs.times import NEVER
from jobs.use_cases.fraud import FRAUD
from orchestration import replay_command as job

pytestmark = pytest.mark.embedded
FIRST, DAYS = date(2026, 3, 1), 80
DAY = timedelta(days=1)
SILENT = (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 8, tzinfo=UTC))
"""What was reported then comes at the end of it, all at once."""
BURST = (datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC))
MISSING = date(2026, 5, 12)
UNKNOWN = 50


@dataclass(frozen=True)
class World:
    reports: pl.DataFrame
    timeline: pl.DataFrame
    history: History
    payments: Any
    """Transaction of each row of the history."""
    refused: pl.DataFrame
    """Reports in quarantine."""

    @property
    def valid(self) -> pl.DataFrame:
        """Reports of payments that there are, one per payment and moment, by when they came."""
        known = self.reports.filter(pl.col("TRANSACTION_ID").is_in(list(self.payments)))
        first = known.unique(["TRANSACTION_ID", "FRAUD_REPORTED_AT"], keep="first", maintain_order=True)
        return first.sort("FRAUD_REPORTED_AT", maintain_order=True)


def spoilt(payments: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    """The reports, with faults. Those that contradict another of the same moment come last: the first one counts."""
    at = pl.col("FRAUD_REPORTED_AT")
    for first, last in (SILENT, BURST):
        inside = at.is_between(first, last, closed="left")
        reports = reports.with_columns(pl.when(inside).then(pl.lit(last)).otherwise(at).alias("FRAUD_REPORTED_AT"))
    reports = reports.sample(fraction=1, shuffle=True, seed=1)
    there = pl.col("TRANSACTION_ID").is_in(payments["TRANSACTION_ID"].implode())
    chosen = reports.filter(there & (pl.col("TX_FRAUD") == 1)).head(40)
    no, yes = (pl.lit(value, pl.Int8).alias("TX_FRAUD") for value in (0, 1))
    withdrawn = chosen.head(20).with_columns(no, at + 2 * DAY)
    again = withdrawn.head(8).with_columns(yes, at + 3 * DAY)
    unknown = reports.head(UNKNOWN).with_columns(pl.int_range(UNKNOWN, dtype=pl.Int64).alias("TRANSACTION_ID"))
    contradicting = chosen.tail(10).with_columns(no)
    return pl.concat([again, unknown, reports, withdrawn, contradicting], how="vertical_relaxed")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("hostile")
    made = write(scenario("stable", start=FIRST, days=DAYS, customers=500, terminals=150, seed=8), str(folder / "raw"))
    payments = pl.read_parquet(made["transactions"]).filter(pl.col("TX_DATETIME").dt.date() != MISSING)
    payments.write_parquet(folder / "payments.parquet")
    reports = spoilt(payments, pl.read_parquet(made["reports"]))
    reports.write_parquet(folder / "reports.parquet")
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    files = {"transactions": (folder / "payments.parquet",), "reports": (folder / "reports.parquet",)}
    timeline = job.run(own, FRAUD, files, None, job.ReplayRequest("auto"), folder / "out")
    [prepared] = (own.home / "prepared").iterdir()
    lakehouse = attach(replace(own, home=prepared))
    rows = lakehouse.to_arrow(history.table(FRAUD), columns=["transaction_id", "tx_datetime"])
    ids = pl.DataFrame(rows).sort("tx_datetime", "transaction_id")["transaction_id"].to_numpy()
    refused = pl.DataFrame(lakehouse.to_arrow(table_of("fraud_raw.fraud_reports")))
    yield World(reports, timeline, history.read(lakehouse, FRAUD), ids, refused)
    engine.stop(replace(own, home=prepared))


def test_every_evening_knows_what_had_come_by_then(world: World) -> None:
    assert world.timeline["date"].to_list() == [FIRST + n * DAY for n in range(DAYS)]
    for day, known in world.timeline.select("date", "reports_known").iter_rows():
        evening = datetime.combine(day + DAY, datetime.min.time(), UTC)
        come = world.valid.filter(pl.col("FRAUD_REPORTED_AT") <= evening)
        assert known == come["TRANSACTION_ID"].n_unique(), day


def test_the_last_word_of_each_payment_holds(world: World) -> None:
    last = dict(world.valid.unique("TRANSACTION_ID", keep="last")["TRANSACTION_ID", "TX_FRAUD"].iter_rows())
    labels = world.history.labels.at(NEVER - 1, len(world.history))
    found = {int(world.payments[n]): int(labels[n]) for n in range(len(labels)) if labels[n] >= 0}
    assert found == last and 0 in last.values()


def test_what_cannot_be_told_is_kept_with_its_reason(world: World) -> None:
    unknown = world.reports.filter(~pl.col("TRANSACTION_ID").is_in(list(world.payments)))
    said = world.refused["reasons"].to_list()
    assert sum("unknown transaction_id" in reason for reason in said) == unknown.height > UNKNOWN
    assert len(said) - unknown.height == 10


def test_none_of_it_is_an_alarm_or_a_reason_to_train(world: World) -> None:
    decided = world.timeline.filter(pl.col("champion_version") > 0)
    assert decided.height == 20 and not decided["drift_alarm"].any() and decided["fits"].to_list() == [1] * 20
    [missing] = decided.filter(pl.col("date") == MISSING).to_dicts()
    assert missing["rows"] == 0 and missing["average_precision"] is None
    maturity = dict(decided["date", "label_maturity"].iter_rows())
    assert min(maturity.values()) >= 0 and max(maturity.values()) < 0.2
