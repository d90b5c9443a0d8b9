"""A home that was built before `jobs` was parted into rooms goes on working: one more night, the same as then.

That night is done in a copy, while the engine of the original runs, and leaves the original as it was.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from worlds import damage
from worlds.draws import drawn
from worlds.old_home import LAST_NIGHT, MADE_SINCE, NEXT_NIGHT, USE_CASE, next_night, unpacked
from worlds.pictures import rendered

from jobs import settings
from jobs.backtesting.reproduce import reproduce
from jobs.integrity import home_check
from jobs.lakehouse import engine
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.registry import model_versions
from jobs.retraining import decisions
from jobs.retraining.decisions import RecordedDecision
from jobs.settings import Settings
from jobs.use_cases import catalog
from orchestration import fingerprint
from orchestration.cli import main
from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from orchestration.lineage_run import RunOutcome, execute
from orchestration.relocation import settle

pytestmark = pytest.mark.embedded

# Labels are drawn in the order in which the engine returns rows, which differs from run to run.
DRAWN = {("fraud_monitoring.estimates", column): 0.1 for column in ("expected", "deviation")}


EARLIER = dg.AssetKey(["fraud", "training", "candidate"])
"""Built in the original before it was copied."""


@dataclass
class Night:
    """A copied home after one more night, what was there before it, and the files of the original before and after."""

    settings: Settings
    outcome: RunOutcome
    rows_before: list[RecordedDecision]
    decisions_before: list[Any]
    original_before: dict[str, str]
    original_after: dict[str, str]
    kept: Path
    """The copied home as the night left it, which no test changes."""

    @property
    def then(self) -> dict[str, Any]:
        return next_night(self.settings.home)


def _bytes(home: Path) -> dict[str, str]:
    """Digest per file; the engine of a home may write into its log at any time."""
    files = [path for path in home.rglob("*") if path.is_file() and path.parent.name != "engine"]
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("old")
    original, own = unpacked(folder), settings.load({"EVERGREEN_HOME": str(folder / "copy")})
    with open_instance(original) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(EARLIER))
    try:
        assert attach(original).spark.sql("show tables in fraud").count() > 0
        rows, view = list(decisions.rows(original, USE_CASE)), promotions.view(original, USE_CASE)
        shutil.copytree(original.home, own.home)
        before = _bytes(original.home)
        days = (LAST_NIGHT.date(), LAST_NIGHT.date())
        with rendered():  # all pictures of a night, of which other tests only build the figures
            outcome = execute(own, USE_CASE, NEXT_NIGHT, days, (USE_CASE,), show=False)
        after = _bytes(original.home)
        shutil.copytree(own.home, folder / "kept")
        engine.stop(original)
        shutil.rmtree(original.home)
        yield Night(own, outcome, rows, list(view.decisions), before, after, folder / "kept")
    finally:
        engine.stop(original)
        engine.stop(own)


def test_the_night_succeeds(night: Night) -> None:
    assert night.outcome.success, night.outcome.errors
    assert night.outcome.failed_checks == []


def test_its_tables_hold_what_the_code_of_then_wrote(night: Night) -> None:
    lakehouse = attach(night.settings)
    frames = {name: pl.DataFrame(lakehouse.to_arrow(name)) for name in find_tables(lakehouse.warehouse)}
    rows = {name: frame.height for name, frame in frames.items()}
    for name, like in MADE_SINCE.items():
        found = rows.pop(name)
        assert found == (night.then["rows"][like] if like else found) > 0, name
    assert rows == night.then["rows"]
    for name, sums in night.then["sums"].items():
        for column, then in sums.items():
            now = frames[name][column].cast(pl.Float64).sum()
            assert now == pytest.approx(then, rel=DRAWN.get((name, column), 1e-9), nan_ok=True), (name, column)


def test_features_declared_since_then_are_computed_for_the_past_too(night: Night) -> None:
    lakehouse = attach(night.settings)
    for name in (USE_CASE.training_set, "fraud_features.history"):
        rows = pl.DataFrame(lakehouse.to_arrow(name))
        new = rows.select("customer_terminal_tx_count_60d_before", "customer_small_6h", "customer_terminals_6h")
        assert sum(new.null_count().row(0)) == 0 and min(new.sum().row(0)) > 0


def test_the_original_is_unchanged(night: Night) -> None:
    assert night.original_after == night.original_before


def test_the_history_of_the_copy_is_complete(night: Night) -> None:
    with open_instance(night.settings) as instance:
        assert [run.run_id for run in instance.get_runs()] == [night.outcome.run_id]
        assert len(instance.fetch_materializations(EARLIER, limit=9).records) == 2
        for name in night.outcome.assets:
            latest = instance.get_latest_materialization_event(dg.AssetKey(name.split("/")))
            assert latest is not None and latest.run_id == night.outcome.run_id, name


def test_its_predictions_are_those_of_the_old_champion(night: Night) -> None:
    log = pl.DataFrame(attach(night.settings).to_arrow("fraud_serving.prediction_log"))
    scores = dict(zip(log["transaction_id"].cast(pl.String).to_list(), log["score"].to_list(), strict=True))
    assert scores == pytest.approx(night.then["scores"], rel=1e-6)
    assert set(log["model_version"].to_list()) == {1}


def test_the_ledger_goes_on_where_it_was(night: Night) -> None:
    rows, view = decisions.rows(night.settings, USE_CASE), promotions.view(night.settings, USE_CASE)
    assert rows[: len(night.rows_before)] == night.rows_before and len(rows) == len(night.rows_before) + 1
    assert list(view.decisions) == night.decisions_before
    assert view.champion is not None and view.champion.version == 1


def test_the_same_evidence_leads_to_the_same_decision(night: Night) -> None:
    decided = night.outcome.assets["fraud/monitoring/retraining"]
    assert {name: decided[name] for name in night.then["retraining"]} == night.then["retraining"]
    assert night.outcome.assets["fraud/training/candidate"]["reason"] == night.then["candidate"]
    # Not the digest of the evidence: tables that got columns have been written in more versions.


def test_the_old_champion_can_be_trained_again_to_the_same_metrics(night: Night) -> None:
    compared = reproduce(attach(night.settings), USE_CASE, 1, False)
    assert compared and [one.name for one in compared if not one.equal] == []


def test_a_new_candidate_is_judged_against_the_old_champion_and_both_are_of_the_copy(night: Night) -> None:
    shutil.rmtree(night.settings.home / "models")
    keys = [f"fraud/{name}" for name in ("training/tuning", "training/candidate", "promotion/evaluation")]
    definitions = build_definitions(settings=night.settings, use_cases=(USE_CASE,))
    job = dg.define_asset_job("again", selection=dg.AssetSelection.assets(*(key.split("/") for key in keys)))
    resolved = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("again")
    with open_instance(night.settings) as instance:
        tags = {"evergreen/as_of": NEXT_NIGHT.isoformat()}
        result = resolved.execute_in_process(instance=instance, tags=tags, raise_on_error=True)
    evaluation = result.asset_materializations_for_node("fraud__promotion__evaluation")[0].metadata
    assert (evaluation["candidate"].value, evaluation["champion"].value) == ("version 2", "version 1")
    for version in (1, 2):
        shutil.rmtree(night.settings.home / "models", ignore_errors=True)
        assert model_versions.fetch(night.settings, USE_CASE, version).manifest.use_case == USE_CASE.name


def test_nothing_is_left_of_what_dbt_merged_from(night: Night) -> None:
    assert night.outcome.success
    assert not [path for path in (night.settings.home / "warehouse" / "_merge").rglob("*") if path.is_file()]


@pytest.fixture
def damaged(night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A copy of the home after its night, to be damaged, in which commands know its use case."""
    own = settings.load({"EVERGREEN_HOME": str(shutil.copytree(night.kept, tmp_path / "home"))})
    settle(own)
    monkeypatch.setenv("EVERGREEN_HOME", str(own.home))
    monkeypatch.setattr(catalog, "USE_CASES", (USE_CASE,))
    fingerprint.remember(own, USE_CASE, {"as_of": NEXT_NIGHT.isoformat(), "run_id": "x", "fingerprint": "x"})
    yield own
    engine.stop(own)
    shutil.rmtree(own.home)


def mended(own: Settings) -> list[str]:
    """Give the command that is named first until nothing is damaged; returns the commands.

    What MLflow has opened it keeps open: a database of its is damaged before it is looked at."""
    commands: list[str] = []
    while found := list(home_check.findings(attach(own), (USE_CASE,))):
        assert found[0].mend not in commands
        done = CliRunner().invoke(main, shlex.split(found[0].mend)[1:], catch_exceptions=False)
        assert done.exit_code == 0, (found, done.output)
        commands.append(found[0].mend)
    return commands


RAW = [USE_CASE.raw_table(source) for source in USE_CASE.sources]
DERIVED = ["fraud_staging.transactions", "fraud_staging.fraud_reports", "fraud.transactions", "fraud.labels",
           "fraud.customers", "fraud.terminals", "fraud_features.customer_windows", "fraud_features.terminal_windows",
           "fraud_features.customer_terminal_windows", "fraud_features.history", USE_CASE.training_set]  # fmt: skip
MONITORING = ["fraud_monitoring.leaderboard", "fraud_monitoring.performance", "fraud_monitoring.business"]
RECORDED = ["fraud_serving.prediction_log", "fraud_serving.review_queue"]
NUMBER_OF_DBT_RUN = {"fraud.labels.loaded_in"}
MEASURED = {f"fraud_monitoring.leaderboard.{name}" for name in ("microseconds_per_row", "request_milliseconds")}
NUMBERS_OF_LOADS = {f"{table}.loaded_in" for table in (*RAW, *DERIVED[:3])} | {
    f"fraud.labels.{name}_loaded_in" for name in ("reports", "transactions")
}
VERSIONS_OF_TABLES = {"fraud_serving.prediction_log.feature_versions", "fraud_predictions_days.source"}
MADE_ANEW = MEASURED | NUMBER_OF_DBT_RUN | VERSIONS_OF_TABLES
"""What docs/operation/maintenance.md says cannot be as it was, once a table begins anew."""


def test_damaged_files_of_every_kind_are_made_again_as_they_were(damaged: Settings) -> None:
    own, draw, before = damaged, drawn("damaged files"), damage.content(damaged)
    tables = [*draw.sample(RAW, 2), *draw.sample(DERIVED, 3), draw.choice(MONITORING)]
    for table in tables:
        damage.DAMAGE[draw.choice(sorted(damage.DAMAGE))](damage.data_file(own, table, draw))
    bundles = [own.home / "models", own.home / "tracking" / "artifacts", own.serving / "online"]
    folder = draw.choice(bundles)
    damage.DAMAGE[draw.choice(sorted(damage.DAMAGE))](draw.choice(sorted(folder.rglob("model.onnx"))))
    store = draw.choice([Path(own.predictions), own.home / "feast" / "online.db"])
    damage.cut_in_half(store)
    named = {each.place.split(":")[0] for each in home_check.findings(attach(own), (USE_CASE,))}
    assert named >= set(tables) and len(named) >= len(tables) + 2, (tables, folder, store, named)
    commands = mended(own)
    assert damage.differences(before, damage.content(own), MADE_ANEW) == [], (tables, commands)


@pytest.mark.parametrize("what", ["monitoring", "more"])
def test_tables_whose_logs_cannot_be_read_are_made_again(damaged: Settings, what: str) -> None:
    own, draw, before = damaged, drawn(f"unreadable logs of {what}"), damage.content(damaged)
    table = draw.choice(MONITORING if what == "monitoring" else [*RAW, *DERIVED])
    damage.garble(damage.commit(own, table, draw))
    damage.cut_in_half(own.home / "tracking" / "mlflow.db")
    assert mended(own) == ["evergreen repair registry --use-case fraud", f"evergreen repair table {table}"]
    differ = (MEASURED if what == "monitoring" else MADE_ANEW) | (NUMBERS_OF_LOADS if table in RAW else set())
    assert damage.differences(before, damage.content(own), differ) == [], table


def test_of_what_was_served_all_other_rows_are_kept(damaged: Settings) -> None:
    own, draw, before = damaged, drawn("what was served"), damage.content(damaged)
    expected = dict(before)
    for table in RECORDED:
        file = damage.data_file(own, table, draw)
        day = file.parent.name.partition("=")[2]
        columns, rows = before[table]
        expected[table] = columns, [row for row in rows if str(row[columns.index("event_date")]) != day]
        damage.DAMAGE[draw.choice(sorted(damage.DAMAGE))](file)
    assert {*mended(own)} == {f"evergreen repair table {table} --drop-rows" for table in RECORDED}
    assert damage.differences(expected, damage.content(own)) == []
