"""Nothing is built on what failed: a failing dbt test, a changed schema, a corrupted mart, each in a whole run."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from jobs import settings
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import InputError
from jobs.lakehouse import dbt_models as transforms
from jobs.lakehouse import engine
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import Settings
from jobs.simulate import simulator
from jobs.use_cases.fraud import FRAUD

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
EARLY, LATE = FIRST + timedelta(days=6), FIRST + timedelta(days=8)
# What is trained on the training set is the business of other tests.
USE_CASE = replace(FRAUD, problem=None)
FAILING = "select transaction_id from {{ ref('fraud__transactions') }} limit 1"
Change = Callable[[pl.DataFrame], pl.DataFrame]
DOWNSTREAM = ("customer_windows", "terminal_windows", "training_set")


@dataclass(frozen=True)
class Built:
    """A home that was built once, as of EARLY, from files that go on until LATE."""

    settings: Settings
    files: dict[str, tuple[Path, ...]]

    @property
    def lakehouse(self) -> Lakehouse:
        return attach(self.settings)

    def versions(self) -> dict[str, int | None]:
        return self.lakehouse.versions(find_tables(self.lakehouse.warehouse))

    def run(self, as_of: datetime, files: dict[str, tuple[Path, ...]] | None = None) -> int:
        from orchestration import run_command as runner

        return runner.run(self.settings, USE_CASE, files or self.files, None, as_of, full=True, show=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("gates")
    made = simulator.write(simulator.scenario("stable", days=8, customers=100, terminals=75), folder / "input")
    files: dict[str, tuple[Path, ...]] = {name: (made[name],) for name in ("transactions", "reports")}
    own = Built(settings.load({"EVERGREEN_HOME": str(folder / "home")}), files)
    assert own.run(EARLY) == 0
    yield own
    engine.stop(own.settings)


def test_a_failing_dbt_test_stops_everything_downstream(built: Built, tmp_path: Path) -> None:
    from orchestration.lineage_run import execute

    project = tmp_path / "dbt_project"
    shutil.copytree(built.settings.dbt_project, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "tests" / "payments_are_never_right.sql").write_text(FAILING)
    known = registered_inputs.registered(built.settings, USE_CASE)
    assert known is not None
    before = built.versions()
    changed = replace(built.settings, dbt_project=project)
    outcome = execute(changed, USE_CASE, LATE, (EARLY.date(), known.last_day), (USE_CASE,), show=False)
    after = built.versions()
    assert not outcome.success
    assert [check for check in outcome.failed_checks if "payments_are_never_right" in check], outcome.failed_checks
    assert before["fraud_raw.transactions"] != after["fraud_raw.transactions"], "there was something new to build"
    for name in DOWNSTREAM:
        assert f"fraud/features/{name}" not in outcome.assets
        assert before[f"fraud_features.{name}"] == after[f"fraud_features.{name}"]
    assert "fraud/features/online_store" not in outcome.assets


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.rename({"TX_AMOUNT": "AMOUNT"}), "expected one column TX_AMOUNT, found"),
        (lambda frame: frame.cast({"TX_AMOUNT": pl.String}), "evergreen schema accept transactions --use-case fraud"),
    ],
    ids=["renamed", "retyped"],
)
def test_a_changed_column_stops_the_run_and_says_what_to_do(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    changed = tmp_path / "changed.parquet"
    change(pl.read_parquet(built.files["transactions"][0])).write_parquet(changed)
    before = built.versions()
    try:
        assert built.run(LATE, {**built.files, "transactions": (changed,)}) == 1
        said = " ".join(capsys.readouterr().out.split())
    except InputError as error:  # which the command turns into a message
        said = str(error)
    assert "tx_amount" in said and words in said and "Traceback" not in said, said
    assert built.versions() == before


def test_a_model_is_built_again_only_when_it_or_what_it_reads_changed(built: Built) -> None:
    assert built.run(EARLY) == 0
    parsed = transforms.manifest(built.settings)
    manifest = json.loads(parsed.read_text())
    models = transforms.models(manifest, USE_CASE)

    def due() -> set[str]:
        ids = transforms.Built(built.lakehouse, USE_CASE, parsed, manifest).due(models)
        return {transforms.relation(manifest["nodes"][name]) for name in ids}

    assert len(models) == 6 and due() == set()
    before = built.versions()
    assert built.run(EARLY) == 0
    assert built.versions() == before
    built.lakehouse.delta("fraud.labels").update({"is_fraud": "is_fraud"}, predicate="is_fraud")
    assert due() == {"fraud.labels"}
    built.lakehouse.delta("fraud_staging.transactions").update({"tx_amount": "tx_amount"})
    assert due() == {"fraud_staging.transactions", "fraud.transactions", "fraud.labels"}
    changed = transforms.Built(built.lakehouse, USE_CASE, parsed.with_stem("manifest-of-a-changed-project"), manifest)
    assert len(changed.due(models)) == 6


def test_rows_that_passed_their_tests_are_not_tested_again(built: Built) -> None:
    assert built.run(EARLY) == 0
    parsed, lakehouse, mart = transforms.manifest(built.settings), built.lakehouse, "fraud.transactions"
    manifest = json.loads(parsed.read_text())
    models = transforms.models(manifest, USE_CASE)
    name = next(model for model in models if transforms.relation(manifest["nodes"][model]) == mart)
    tested = transforms.Built(lakehouse, USE_CASE, parsed, manifest).tested(models)
    held = pl.DataFrame(lakehouse.to_arrow(mart))
    assert tested[name] == held["loaded_in"].max() and len(tested) == 6
    later = held.head(1).with_columns(pl.lit(tested[name] + 1).cast(held.schema["loaded_in"]).alias("loaded_in"))

    def failing(rows: pl.DataFrame, known: dict[str, int]) -> str:
        """The errors of the mart's tests when it holds these rows as well."""
        version = lakehouse.version(mart)
        assert version is not None
        lakehouse.delta(mart).merge(  # an append, with the table's own types
            rows.to_arrow(), "false", source_alias="s", target_alias="t"
        ).when_not_matched_insert_all().execute()
        try:
            own = ["--select", "fqn:evergreen.marts.fraud.fraud__transactions,resource_type:test"]
            return "\n".join(transforms.build(lakehouse, USE_CASE, parsed, own, known).errors)
        finally:
            lakehouse.delta(mart).restore(version)

    unknown = held.head(1).with_columns(pl.lit(None, held.schema["customer_id"]).alias("customer_id"))
    assert "unique_together" in failing(later, tested), "a new row with the key of a tested one"
    assert "unique_together" not in failing(held.head(1), tested), "only tested rows"
    assert "unique_together" in failing(held.head(1), {})
    assert "not_null_fraud__transactions_customer_id" not in failing(unknown, tested)
    assert "not_null_fraud__transactions_customer_id" in failing(unknown, {})
    late = unknown.with_columns(later["loaded_in"])
    assert "not_null_fraud__transactions_customer_id" in failing(late, tested)
    assert name not in transforms.Built(lakehouse, USE_CASE, parsed, manifest).tested(models), "another wrote to it"


def test_a_corrupted_mart_changes_the_training_set(built: Built) -> None:
    held = set(built.lakehouse.to_arrow("fraud.transactions", columns=["transaction_id"])[0].to_pylist())
    built.lakehouse.delta("fraud.transactions").update({"tx_amount": "tx_amount * 2"})
    built.run(LATE)
    raw = pl.DataFrame(built.lakehouse.to_arrow("fraud_raw.transactions", columns=["transaction_id", "tx_amount"]))
    rows = pl.DataFrame(built.lakehouse.to_arrow(USE_CASE.training_set, columns=["transaction_id", "tx_amount"]))
    both = rows.join(raw, on="transaction_id", suffix="_raw").filter(pl.col("transaction_id").is_in(list(held)))
    assert both.height > 0
    assert both.filter(pl.col("tx_amount") != 2 * pl.col("tx_amount_raw")).is_empty()
