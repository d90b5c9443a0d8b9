"""What the monitoring assets say about a small world: a clean one, with planted faults, and without a champion."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake
from worlds.monitored_world import (
    AS_OF,
    DAY,
    FIRST,
    LAST,
    LOG,
    NAMES,
    NIGHTS,
    PARTITIONS,
    PROBLEM,
    SCORED,
    One,
    World,
    built,
)
from worlds.pictures import rendered

from assets import drift, ground_truth
from assets.keys import Keys
from jobs import settings
from jobs.datasets import history
from jobs.display import rounded
from jobs.drift import evidently_report
from jobs.ground_truth import business_table, estimates_table, outcomes, performance_table
from jobs.ingest import registered_inputs
from jobs.lakehouse import engine
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.retraining import nightly_evidence
from jobs.settings import Settings
from jobs.state_files import replace_bytes
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

Tamper = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Days of payments, the last of them scored."""
    found = built(tmp_path_factory.mktemp("monitored"))
    yield found
    engine.stop(found.lakehouse.settings)


@pytest.fixture
def rewritten(world: World) -> Iterator[Callable[[Tamper], None]]:
    """Rewrites the events with their features, as another world would have left them; put back afterwards."""
    name = history.table(FRAUD)
    clean, state = pl.DataFrame(world.lakehouse.to_arrow(name)), world.lakehouse.state(name)

    def write(rows: pl.DataFrame) -> None:
        table = rows.to_arrow().cast(world.lakehouse.schema(name))
        write_deltalake(
            world.lakehouse.path(name), table, mode="overwrite", partition_by=["event_date"],
            commit_properties=keeping(state),
        )  # fmt: skip
        # As if it had been measured for the first time: the inputs that evidence names are the same.
        (world.lakehouse.settings.state / FRAUD.name / "measured.npz").unlink(missing_ok=True)

    yield lambda tamper: write(tamper(clean))
    write(clean)


@pytest.fixture
def tampered(world: World) -> Iterator[Callable[[Tamper], None]]:
    """Rewrites the log with rows that a fault would have left there; put back afterwards."""
    clean = world.log()

    def write(rows: pl.DataFrame) -> None:
        schema = world.lakehouse.schema(LOG)
        table = rows.select(schema.names).to_arrow().cast(schema)
        write_deltalake(world.lakehouse.path(LOG), table, mode="overwrite", partition_by=["event_date"])

    yield lambda tamper: write(tamper(clean))
    write(clean)


def test_everything_is_shown_of_a_clean_world(world: World) -> None:
    with rendered():
        shown = world.materialized("label_maturity", "performance", "estimate", "drift", "skew")
    maturity = shown.metadata["label_maturity"]
    assert 2.5 < maturity["median_delay_days"] < 6 and maturity["days_judged"] > 50
    assert maturity["judged_until"] < str(LAST - 6 * DAY) and maturity["positives_to_come"] > 5
    performance = shown.metadata["performance"]
    assert performance["days_written"] == SCORED == performance["days_judged"] + performance["days_provisional"]
    assert (
        "amount_from_100" in performance["slices_of_14_days"] and "customers was never loaded" in performance["notes"]
    )
    estimate = shown.metadata["estimate"]
    decided = outcomes.outcomes(world.lakehouse, FRAUD, PROBLEM, AS_OF)
    # Of the champion's own decisions only twelve days are there: events before them were scored for it.
    assert decided and estimate["trusted"] and estimate["calibrated_on_positives"] > decided.scored.positive.sum()
    drifted = shown.metadata["drift"]
    assert drifted["drift_score"] < 1 and drifted["day"] == str(LAST) and "report" not in drifted
    assert drifted["reference"] == f"{NIGHTS[0] - 56 * DAY} to {NIGHTS[0] - DAY}"
    assert "score" in drifted["features"] and drifted["two_sample_score"] < 1
    skew = shown.metadata["skew"]
    assert skew["features_compared"] == len(NAMES) and skew["features_that_differ"] == skew["rows_unknown_offline"] == 0
    assert skew["rows_compared"] == world.log().filter(pl.col("event_date") > LAST - 3 * DAY).height
    assert shown.checks.keys() == {
        drift.NO_DRIFT, drift.NO_SKEW, "latest_day_measured", "reports_in_time", "scored_days_measured",
        "estimates_hold",
    }  # fmt: skip
    assert all(check.passed for check in shown.checks.values())
    pictures = [maturity["maturity"], performance["over_time"], estimate["average_precision"], drifted["by_day"]]
    assert all("data:image/png" in picture and len(picture) > 2_000 for picture in pictures)


def test_a_second_look_writes_no_performance_and_an_earlier_one_neither(world: World) -> None:
    world.materialized("performance")
    before = world.lakehouse.version(performance_table.of(FRAUD, problem_of(FRAUD)).name)
    assert world.materialized("performance").metadata["performance"]["days_written"] == 0
    earlier = world.materialized("performance", as_of=AS_OF - DAY).metadata["performance"]
    assert ground_truth.AHEAD in earlier["notes"]
    assert world.lakehouse.version(performance_table.of(FRAUD, problem_of(FRAUD)).name) == before


def test_figures_of_the_business_are_of_all_that_was_decided(world: World) -> None:
    with rendered():
        shown = world.materialized("business")
    found = shown.metadata["business"]
    assert shown.checks["every_event_counts"].passed and found["days_written"] == 12
    assert len(found["over_time"]) > 2_000
    matured = found["matured_of_14_days"]
    assert "earned_money" in matured and "| all" in matured and "champion" in matured and "amount_from_100" in matured
    table = business_table.of(FRAUD, problem_of(FRAUD)).read(world.lakehouse, FIRST)
    flagged = world.log().filter("decision").height
    assert table.filter(slice="all", metric="to_review")["value"].sum() == flagged > 0
    assert world.materialized("business").metadata["business"]["days_written"] == 0


def test_estimates_stay_until_the_truth_is_there(world: World) -> None:
    """Of an evening ten days ago; today the days it was about are judged."""
    then = AS_OF - 10 * DAY
    shutil.rmtree(world.lakehouse.path(performance_table.of(FRAUD, problem_of(FRAUD)).name), ignore_errors=True)
    shutil.rmtree(world.lakehouse.path(estimates_table.table(FRAUD)), ignore_errors=True)
    world.materialized("performance", "estimate", as_of=then)
    first = world.materialized("performance", "estimate", as_of=AS_OF).metadata["estimate"]
    kept = estimates_table.read(world.lakehouse, FRAUD, FIRST)
    assert kept["made_on"].unique().to_list() == [then.date(), AS_OF.date()]
    assert kept.filter(pl.col("made_on") == then.date())["event_date"].max() == (then - DAY).date()
    measured = performance_table.of(FRAUD, problem_of(FRAUD)).read(world.lakehouse, FIRST, ["average_precision"])
    real = {row["event_date"]: row["value"] for row in measured.filter(pl.col("judged"), slice="all").to_dicts()}
    early = kept.filter(made_on=then.date(), metric="average_precision")
    errors = [abs(row["expected"] - real[row["event_date"]]) for row in early.to_dicts() if row["event_date"] in real]
    assert len(errors) == first["estimates_that_came_due"] > 0
    assert first["error_of_average_precision"] == rounded(np.mean(errors))


AMOUNT = pl.when(pl.col("event_date") > LAST - 3 * DAY).then(pl.col("tx_amount") * 100).otherwise("tx_amount")


def test_a_changed_unit_of_what_was_served_is_skew(world: World, tampered: Callable[[Tamper], None]) -> None:
    tampered(lambda log: log.with_columns(AMOUNT.alias("tx_amount").cast(pl.Float32)))
    check = world.materialized("skew").checks[drift.NO_SKEW]
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert check.description == "tx_amount: unit in 100.0% of rows (served value is 100 times the offline one)"


def test_a_changed_unit_of_the_world_is_drift(world: World, rewritten: Callable[[Tamper], None]) -> None:
    rewritten(lambda events: events.with_columns(AMOUNT.alias("tx_amount")))
    reports = evidently_report.folder(world.lakehouse.settings, FRAUD)
    kept, old = LAST - evidently_report.KEPT, LAST - evidently_report.KEPT - DAY
    for day in (kept, old):
        replace_bytes(reports / f"{day}.html", b"an earlier one")
    shown = world.materialized("drift")
    evidence, _ = nightly_evidence.evidence(
        world.lakehouse, FRAUD, One(world.lakehouse.settings, (7, world.champion)), AS_OF
    )
    assert shown.metadata["drift"]["drift_score"] == rounded(evidence.scores["drift"]) > 1
    check = shown.checks[drift.NO_DRIFT]
    assert not check.passed and "tx_amount" in check.description and check.description.endswith(" drifted")
    assert "tx_amount" in shown.metadata["drift"]["named"]
    written = Path(shown.metadata["drift"]["report"])
    assert written == reports / f"{LAST}.html" and "tx_amount" in written.read_text()
    assert {path.name for path in reports.iterdir()} == {f"{kept}.html", f"{LAST}.html", f"{LAST}.parquet"}


def test_a_day_without_an_alarm_has_a_report_on_demand(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.materialized("drift").metadata["drift"]
    assert "report" not in before and before["report_of_the_day"] == Keys(FRAUD).drift_report
    shown = world.materialized("drift_report")
    written = Path(shown.metadata["drift_report"]["report"])
    assert written.stem == str(LAST) and shown.checks["report_of_latest_day"].passed
    assert drift.build(world.lakehouse.settings, FRAUD)[1].specs_by_key[Keys(FRAUD).drift_report].metadata[
        "latest_report"
    ] == dg.MetadataValue.url("http://127.0.0.1:5001/reports/fraud/latest.html")
    assert shown.metadata["drift_report"]["report_url"] == f"http://127.0.0.1:5001/reports/fraud/{LAST}.html"
    text = written.read_text()
    assert "tx_amount" in text and 'src="http' not in text and len(text) < 10e6
    monkeypatch.setattr(evidently_report, "_drawn", None)  # it is not drawn twice
    world.materialized("drift")
    assert world.materialized("drift_report").metadata["drift_report"]["report"] == str(written)
    newer = written.with_name(f"{LAST + DAY}.parquet")
    newer.write_bytes(written.with_suffix(".parquet").read_bytes())
    newer.with_suffix(".html").write_text("of a day that was never measured")
    assert not world.materialized("drift_report").checks["report_of_latest_day"].passed
    for path in (newer, newer.with_suffix(".html")):
        path.unlink()


def test_a_stale_feature_is_named(world: World, tampered: Callable[[Tamper], None]) -> None:
    name = "customer_amount_mean_7d"
    stale = (
        pl.col(name).shift(1).over("customer_id", order_by=["tx_datetime", "transaction_id"]).fill_null(pl.col(name))
    )
    tampered(lambda log: log.with_columns(stale))
    check = world.materialized("skew").checks[drift.NO_SKEW]
    assert not check.passed and check.description.startswith(f"{name}: stale in ")
    assert "previous one of the customer_id" in check.description


def test_a_window_that_is_a_second_too_long_is_named(world: World, tampered: Callable[[Tamper], None]) -> None:
    """It counts the payment of the same customer exactly a day before, as the log of a faulty server would."""
    payments = pl.DataFrame(world.lakehouse.to_arrow(FRAUD.events, columns=["customer_id", "tx_datetime"]))
    twins = payments.with_columns(pl.col("tx_datetime") + DAY, more=1).unique()
    more = pl.col("customer_tx_count_1d") + pl.col("more").fill_null(0)

    def too_long(log: pl.DataFrame) -> pl.DataFrame:
        joined = log.join(twins, on=["customer_id", "tx_datetime"], how="left")
        return joined.with_columns(more.cast(pl.Float32).alias("customer_tx_count_1d"))

    tampered(too_long)
    check = world.materialized("skew").checks[drift.NO_SKEW]
    assert not check.passed and check.description.startswith("customer_tx_count_1d: boundary in ")


def test_too_short_a_past_is_said_and_fails_nothing(world: World, rewritten: Callable[[Tamper], None]) -> None:
    rewritten(lambda events: events.filter(pl.col("event_date") >= NIGHTS[0] - 30 * DAY))
    shown = world.materialized("drift")
    assert "expected at least 42 days with events" in shown.metadata["drift"]["notes"]
    assert shown.checks[drift.NO_DRIFT].passed and "label_drift_score" in shown.metadata["drift"]


def test_a_world_with_gaps_is_not_judged_and_fails_nothing(world: World, rewritten: Callable[[Tamper], None]) -> None:
    """A shop that is closed on Sundays has no seven days in a row."""
    rewritten(lambda events: events.filter(pl.col("event_date").dt.weekday() < 7))
    shown = world.materialized("drift")
    assert "mend the gaps" in shown.metadata["drift"]["notes"] and shown.checks[drift.NO_DRIFT].passed


def test_the_assets_say_so_while_nothing_is_scored(tmp_path: Path, world: World) -> None:
    empty = Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}))
    for table in (FRAUD.events, FRAUD.labels):
        shutil.copytree(world.lakehouse.path(table), empty.path(table))
    registered_inputs.register(empty.settings, FRAUD, registered_inputs.Inputs({}, FIRST, LAST))
    names = ("label_maturity", "performance", "estimate", "drift", "skew")
    shown = World(empty, world.champion).materialized(*names)
    assert all(shown.metadata[name]["notes"] for name in names[1:])
    assert shown.metadata["label_maturity"]["days_judged"] > 50
    assert all(check.passed for check in shown.checks.values())


def test_a_use_case_without_a_problem_is_not_monitored() -> None:
    without = replace(FRAUD, problem=None)
    assert ground_truth.build(without, PARTITIONS) == drift.build(Settings(Path()), without) == []
