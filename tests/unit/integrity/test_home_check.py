"""Real damage in a small home is found, each with a command, and that command mends it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from worlds.damage import flip, truncate
from worlds.old_home import NEXT_NIGHT, USE_CASE, checked, unpacked

from jobs.errors import Invalid
from jobs.ingest import load, registered_inputs
from jobs.integrity import (
    home_check,
    repair_export,
    repair_logs,
    repair_models,
    repair_stores,
    repair_tables,
    state,
)
from jobs.integrity.finding import Finding, HomeDamaged
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.registry import model_versions
from jobs.registry.model_versions import bundle_folder
from jobs.settings import Settings
from orchestration import instance as own_instance
from orchestration import run_command

pytestmark = pytest.mark.embedded
NIGHT = datetime(2026, 3, 31, tzinfo=UTC)
NOW = datetime(2026, 4, 2, tzinfo=UTC)
RAW = "fraud_raw.transactions"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """A small home whose checksums are known."""
    own = checked(tmp_path)
    yield own
    shutil.rmtree(own.home)


def findings(own: Settings) -> list[Finding]:
    return list(home_check.findings(attach(own), (USE_CASE,)))


def test_a_copy_of_a_whole_home_is_whole(own: Settings) -> None:
    assert findings(own) == []


def data_file(own: Settings, table: str) -> Path:
    """The largest data file of a table."""
    files = Path(own.warehouse, *table.split(".")).rglob("*.parquet")
    return max((f for f in files if "_delta_log" not in f.parts), key=lambda f: f.stat().st_size)


DAMAGE: dict[str, Callable[[Path], None]] = {"truncated": truncate, "flipped": flip, "deleted": Path.unlink}


@pytest.mark.parametrize(
    ("table", "how"),
    [(RAW, "truncated"), (RAW, "flipped"), ("fraud_raw.customers", "deleted"), ("fraud_raw.fraud_reports", "flipped")],
)
def test_a_damaged_raw_file_is_rebuilt_from_the_registered_input(own: Settings, table: str, how: str) -> None:
    lakehouse, inputs = attach(own), registered_inputs.registered(own, USE_CASE)
    before, state = pl.DataFrame(lakehouse.to_arrow(table)), lakehouse.state(table)
    DAMAGE[how](data_file(own, table))
    (found,) = findings(own)
    assert found.place.startswith(f"{table}: ") and found.mend == f"evergreen repair table {table}"
    assert inputs is not None and repair_tables.rebuild_raw(lakehouse, USE_CASE, table, inputs, NOW) > 0
    after = pl.DataFrame(attach(own).to_arrow(table)).select(before.columns)
    assert sorted(after.rows(), key=repr) == sorted(before.rows(), key=repr)
    assert attach(own).state(table) == state and findings(own) == []


@pytest.mark.parametrize("name", ["transactions", "fraud_reports"])
def test_rebuilt_rows_bear_the_loads_that_brought_them(own: Settings, name: str) -> None:
    lakehouse, inputs, source = attach(own), registered_inputs.registered(own, USE_CASE), USE_CASE.source(name)
    assert inputs is not None
    table = USE_CASE.raw_table(source)
    for each in USE_CASE.sources:
        load.load(lakehouse, USE_CASE, each, inputs, as_of=NEXT_NIGHT, now=NOW)
    before = pl.DataFrame(lakehouse.to_arrow(table))
    assert before["loaded_in"].n_unique() == 2
    for path in sorted(lakehouse.files(table))[::2]:
        Path(own.warehouse, *table.split("."), unquote(path)).unlink()
    assert repair_tables.rebuild_raw(lakehouse, USE_CASE, table, inputs, NOW) > 0
    after = pl.DataFrame(attach(own).to_arrow(table)).select(before.columns)
    assert sorted(after.rows(), key=repr) == sorted(before.rows(), key=repr)


def test_rows_that_the_input_no_longer_holds_are_not_made_up(own: Settings) -> None:
    inputs = registered_inputs.registered(own, USE_CASE)
    assert inputs is not None
    (file,) = inputs.paths("transactions")
    pl.read_parquet(file).gather_every(2).write_parquet(file)
    truncate(data_file(own, RAW))
    version = attach(own).version(RAW)
    with pytest.raises(repair_tables.NotRebuilt, match=r"expected the .* rows of its damaged files"):
        repair_tables.rebuild_raw(attach(own), USE_CASE, RAW, inputs, NOW)
    assert attach(own).version(RAW) == version and len(findings(own)) == 1


def test_what_was_served_is_kept_but_for_the_damaged_rows(own: Settings) -> None:
    table = "fraud_serving.prediction_log"
    flip(data_file(own, table))
    (found,) = findings(own)
    assert found.mend == f"evergreen repair table {table} --drop-rows"
    assert repair_tables.drop_rows(attach(own), table) == 124
    assert findings(own) == [] and attach(own).row_count(table) == 0
    assert list(Path(own.warehouse, "_damaged").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "how"), [("current.json", "flipped"), ("1/manifest.json", "deleted"), ("1/bundle/model.onnx", "flipped")]
)
def test_a_damaged_export_is_exported_again(own: Settings, name: str, how: str) -> None:
    file = own.serving / "online" / "fraud" / name
    DAMAGE[how](file)
    (found,) = findings(own)
    assert found.mend == "evergreen repair export --use-case fraud"
    assert repair_export.export(attach(own), USE_CASE).version == 1
    assert findings(own) == []


@pytest.mark.parametrize(
    ("where", "how"), [("models", "truncated"), ("artifacts", "flipped"), ("artifacts", "deleted")]
)
def test_a_damaged_copy_of_a_bundle_is_replaced(own: Settings, where: str, how: str) -> None:
    artifacts = next((own.home / "tracking" / "artifacts").rglob("bundle"))
    DAMAGE[how]((artifacts if where == "artifacts" else bundle_folder(own, USE_CASE, 1)) / "model.onnx")
    (found,) = findings(own)
    assert found.mend == "evergreen repair bundles --use-case fraud"
    if where == "models":
        with pytest.raises(HomeDamaged, match="evergreen repair bundles --use-case fraud"):
            home_check.refuse_damaged_bundles(own, USE_CASE)
    assert len(repair_models.bundles(own, USE_CASE)) == 1
    assert findings(own) == []
    home_check.refuse_damaged_bundles(own, USE_CASE)


@pytest.mark.parametrize("how", ["deleted", "truncated"])
def test_a_lost_registry_is_rebuilt_from_bundles(tmp_path: Path, how: str) -> None:
    own = unpacked(tmp_path)  # MLflow keeps a database open that it has seen before
    DAMAGE[how](own.home / "tracking" / "mlflow.db")
    found = findings(own)
    assert {each.mend for each in found} == {"evergreen repair registry --use-case fraud"}
    assert "version 1 is registered again" in repair_models.registry(own, USE_CASE)
    assert findings(own) == []
    assert model_versions.aliases(own, USE_CASE) == {"candidate": 1, "champion": 1}


@pytest.mark.parametrize("how", ["deleted", "truncated"])
def test_an_empty_ledger_where_models_exist_is_an_error(own: Settings, how: str) -> None:
    before = promotions.champion(own, USE_CASE)
    ledger = own.home / "ledger.sqlite"
    # By half: the last page may be that of an empty table, which SQLite reads as it was if its end is gone.
    ledger.unlink() if how == "deleted" else os.truncate(ledger, ledger.stat().st_size // 2)
    (found,) = findings(own)
    assert found.mend == "evergreen repair ledger --use-case fraud"
    repair_models.ledger(own, USE_CASE, NOW)
    after = promotions.champion(own, USE_CASE)
    assert before and after and (after.version, after.sha256) == (before.version, before.sha256)
    assert findings(own) == []


def test_a_run_that_meets_damage_says_so(own: Settings) -> None:
    truncate(data_file(own, "fraud.transactions"))
    data_file(own, RAW).unlink()
    with pytest.raises(HomeDamaged, match=r"evergreen repair table fraud_raw\.transactions") as raised:
        run_command.run(own, USE_CASE, {}, None, NIGHT, show=False)
    assert len(raised.value.findings) == 2


def test_damage_of_a_use_case_whose_name_begins_alike_is_not_ours(own: Settings) -> None:
    other = Path(own.warehouse, "fraud_x_raw")
    shutil.copytree(Path(own.warehouse, "fraud_raw"), other)
    next(file for file in (other / "transactions").rglob("*.parquet")).unlink()
    home_check.refuse_damage(attach(own), USE_CASE)
    with pytest.raises(HomeDamaged, match="fraud_x_raw"):
        home_check.refuse_damage(attach(own), replace(USE_CASE, name="fraud_x"))


def shorten(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(True)[:-1]))


LOG_DAMAGE: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda file: file.write_bytes(b""),
    "without its last line": shorten,
}


@pytest.mark.parametrize("how", LOG_DAMAGE)
def test_the_newest_commit_is_missed_though_the_log_reads_well_without_it(own: Settings, how: str) -> None:
    table = "fraud_raw.transactions"
    lakehouse, state = attach(own), attach(own).state(table)
    for _ in range(2):
        lakehouse.delta(table).create_checkpoint()
        lakehouse.set_properties(table, {"delta.logRetentionDuration": f"interval {30 + _} days"}, state)
    assert findings(own) == []
    LOG_DAMAGE[how](max(Path(own.warehouse, *table.split("."), "_delta_log").glob("*.json")))
    found = findings(own)
    assert [each.mend for each in found] == [f"evergreen repair table {table}"] and "_delta_log" in found[0].place
    with pytest.raises(HomeDamaged, match="_delta_log"):
        home_check.refuse_damage(attach(own), USE_CASE)


@pytest.mark.parametrize("name", ["_last_checkpoint", "*.checkpoint.parquet"])
@pytest.mark.parametrize("how", ["deleted", "garbage"])
def test_a_checkpoint_that_the_commits_make_good_costs_no_row(own: Settings, name: str, how: str) -> None:
    table = "fraud_serving.prediction_log"
    rows = attach(own).row_count(table)
    attach(own).delta(table).create_checkpoint()
    assert findings(own) == []
    for file in Path(own.warehouse, *table.split("."), "_delta_log").glob(name):
        file.unlink() if how == "deleted" else file.write_text('{"version": 99, "size": 1}')
    assert repair_logs.mend_log(attach(own), table)
    assert findings(own) == [] and attach(own).row_count(table) == rows


def test_a_run_reads_files_that_were_written_after_their_checksum(own: Settings) -> None:
    table = "fraud.transactions"
    home_check.refuse_damage(attach(own), USE_CASE)
    data_file(own, table).touch()  # as a copy of a home does
    home_check.refuse_damage(attach(own), USE_CASE)
    flip(data_file(own, table))
    for _ in range(2):
        with pytest.raises(HomeDamaged, match=rf"evergreen repair table {table}"):
            home_check.refuse_damage(attach(own), USE_CASE)
    assert len(findings(own)) == 1


def test_a_table_that_was_there_is_missed(own: Settings) -> None:
    shutil.rmtree(Path(own.warehouse, "fraud", "labels"))
    (found,) = findings(own)
    assert found.mend == "evergreen repair table fraud.labels"


@pytest.mark.parametrize("how", ["zeroed", "rows"])
def test_predictions_for_people_are_written_again(own: Settings, how: str) -> None:
    repair_stores.predictions(attach(own), (USE_CASE,))
    file = own.serving / "predictions.sqlite"
    assert findings(own) == []
    if how == "zeroed":
        file.write_bytes(bytes(file.stat().st_size))
    else:
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            database.execute("delete from fraud_predictions where rowid % 2 = 0")
    assert {each.mend for each in findings(own)} == {"evergreen repair predictions"}
    repair_stores.predictions(attach(own), (USE_CASE,))
    assert findings(own) == []


@pytest.mark.parametrize("name", ["online.db", "registry.db"])
def test_the_online_store_is_written_again(own: Settings, name: str) -> None:
    (own.home / "feast" / name).write_bytes(bytes(5000))
    assert {each.mend for each in findings(own)} == {"evergreen repair online"}
    repair_stores.online_store(attach(own), [(USE_CASE, None)])
    assert findings(own) == [] and not (own.home / "feast" / name).exists()


def test_an_online_store_whose_tables_are_damaged_too_is_left_to_the_run_that_mends_them(own: Settings) -> None:
    table = "fraud_features.terminal_windows"
    truncate(data_file(own, table))
    (own.home / "feast" / "online.db").write_bytes(bytes(5000))
    told = repair_stores.online_store(attach(own), [(USE_CASE, NOW)])
    assert told[-1] == f"fraud: the run that mends {table} writes the online store again"
    assert {each.mend for each in findings(own)} == {f"evergreen repair table {table}"}


def test_databases_of_runs_are_set_aside(own: Settings) -> None:
    own_instance.open_instance(own).dispose()
    assert findings(own) == []
    files = sorted(own.dagster_home.rglob("*.db"))
    assert len(files) >= 3
    for file in files:
        file.write_bytes(bytes(4096))
    assert {each.mend for each in findings(own)} == {"evergreen repair runs"}
    assert len(repair_stores.runs(own)) == len(files) and findings(own) == []
    own_instance.open_instance(own).dispose()


DATABASES = {
    "serving/predictions.sqlite": "evergreen repair predictions",
    "feast/online.db": "evergreen repair online",
    "dagster/history/runs.db": "evergreen repair runs",
    "dagster/history/runs/index.db": "evergreen repair runs",
    "dagster/schedules/schedules.db": "evergreen repair runs",
    "tracking/mlflow.db": "evergreen repair registry --use-case fraud",
}


@pytest.fixture
def with_databases(tmp_path: Path) -> Iterator[Settings]:
    """A small home with every database; MLflow keeps one open that it has seen before."""
    own = unpacked(tmp_path)
    own_instance.open_instance(own).dispose()
    repair_stores.predictions(attach(own), (USE_CASE,))
    with contextlib.closing(sqlite3.connect(own.home / "feast" / "online.db")) as database, database:
        database.execute("create table if not exists t (n integer)")
    yield own
    shutil.rmtree(own.home)


@pytest.mark.parametrize(
    ("name", "how"), [(name, ("zeroed", "cut in half")[at % 2]) for at, name in enumerate(DATABASES)]
)
def test_a_run_that_meets_a_damaged_database_names_the_command_that_mends_it(
    with_databases: Settings, name: str, how: str
) -> None:
    own = with_databases
    home_check.refuse_damage(attach(own), USE_CASE)
    file = own.home / name
    pages = file.stat().st_size // 8192
    file.write_bytes(bytes(8192) if how == "zeroed" else file.read_bytes()[: max(pages, 1) * 4096 - 1000])
    with pytest.raises(HomeDamaged) as raised:
        run_command.run(own, USE_CASE, {}, None, NIGHT, show=False)
    assert [found.mend for found in raised.value.findings] == [DATABASES[name]] and "\n" not in str(raised.value)
    what = DATABASES[name].split()[2]
    if what == "runs":
        with pytest.raises(HomeDamaged, match=r"evergreen repair runs"):
            own_instance.open_instance(own)
        repair_stores.runs(own)
        own_instance.open_instance(own).dispose()
    elif what == "predictions":
        repair_stores.predictions(attach(own), (USE_CASE,))
    elif what == "online":
        repair_stores.online_store(attach(own), [(USE_CASE, None)])
    else:
        repair_models.registry(own, USE_CASE)
    home_check.refuse_damage(attach(own), USE_CASE)


@pytest.mark.parametrize("lost", ["champions", "decisions"])
def test_champions_and_promotions_bring_each_other_back(own: Settings, lost: str) -> None:
    before = promotions.view(own, USE_CASE)
    assert before.champions
    with contextlib.closing(sqlite3.connect(own.home / "ledger.sqlite")) as database, database:
        database.execute(f"delete from {lost} where id = (select max(id) from champions)")
    assert {found.mend for found in findings(own)} == {"evergreen repair ledger --use-case fraud"}
    with pytest.raises(HomeDamaged, match="evergreen repair ledger"):
        run_command.run(own, USE_CASE, {}, None, NIGHT, show=False)
    assert repair_models.ledger(own, USE_CASE, NOW)
    after = promotions.view(own, USE_CASE)
    assert after.champions == before.champions
    assert [d.model_version for d in after.decisions] == [d.model_version for d in before.decisions]
    assert findings(own) == [] and repair_models.ledger(own, USE_CASE, NOW) == []


def test_lost_and_damaged_state_is_found_and_no_other_input_takes_its_place(own: Settings) -> None:
    (own.state / "fraud" / "schemas" / "customers.json").write_text("[")
    (found,) = findings(own)
    assert found.mend == "evergreen repair state --use-case fraud"
    assert len(state.mend_state(own, USE_CASE)) == 1 and findings(own) == []
    (own.state / "fraud" / "inputs.json").unlink()
    (found,) = findings(own)
    assert found.mend.startswith("evergreen run --use-case fraud --transactions")
    with pytest.raises(Invalid, match="expected the files that fraud_raw"):
        registered_inputs.ensure(own, USE_CASE)
