"""From a training set to a registered candidate: what is read, tuned, trained, tracked, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds import training_world as world
from worlds.pictures import rendered

from jobs import settings
from jobs.backtesting import reproduce
from jobs.lakehouse import maintenance
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.ledger import pins
from jobs.registry import model_versions, provenance, tracking
from jobs.registry.bundle import GRAPH, BundleError
from jobs.training import candidate, tune


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    return attach(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lakehouse, candidate.Candidate]:
    """One candidate, tuned and registered, for the tests that only look at it."""
    shared = attach(settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("trained"))}))
    world.put(shared, world.payments())
    tune.tune(shared, world.DEMO)
    with rendered():
        return shared, candidate.make(shared, world.DEMO)


class TestTuning:
    def test_parameters_are_kept_while_little_changes_and_the_reason_is_told(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        first = tune.tune(lakehouse, world.DEMO)
        assert not first.reused and first.reason == "nothing was tuned before" and len(first.trials["boosted"]) == 6
        later = world.AS_OF + timedelta(days=2)
        world.put(lakehouse, world.payments(days=82, as_of=later), later)
        second = tune.tune(lakehouse, world.DEMO)
        assert second.reused and second.parameters == first.parameters and "within 25%" in second.reason

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"days": 120}, "training rows changed"),
            ({"declarations": "two"}, "declared anew"),
            ({"later": 31}, "31 days old"),
        ],
    )
    def test_parameters_are_searched_again_when_much_changed(
        self, lakehouse: Lakehouse, change: dict[str, Any], reason: str
    ) -> None:
        world.put(lakehouse, world.payments())
        tune.tune(lakehouse, world.DEMO)
        moment = world.AS_OF + timedelta(days=change.get("later", 1))
        payments = world.payments(days=change.get("days", 80), as_of=moment)
        world.put(lakehouse, payments, moment, change.get("declarations", "one"))
        again = tune.tune(lakehouse, world.DEMO)
        assert not again.reused and reason in again.reason

    def test_a_backfill_never_uses_parameters_of_its_future(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        tune.tune(lakehouse, world.DEMO)
        before = world.AS_OF - timedelta(days=1)
        world.put(lakehouse, world.payments(as_of=before), before)
        assert not tune.tune(lakehouse, world.DEMO).reused


class TestCandidate:
    def test_it_is_the_best_family_and_beats_the_baselines(self, trained: Any) -> None:
        _, made = trained
        by_name = {c.name: c for c in made.trained.contestants}
        assert set(by_name) == {"prevalence", "risk_then_amount", "logistic", "boosted"}
        families = [c for c in made.trained.contestants if c.kind == "family"]
        assert made.trained.winner.metrics["average_precision"] == max(c.metrics["average_precision"] for c in families)
        assert all(c.metrics["average_precision"] < 0.5 for c in by_name.values() if c.kind == "baseline")

    def test_the_bundle_says_where_it_came_from_and_is_what_the_registry_holds(self, trained: Any) -> None:
        lakehouse, made = trained
        bundle = model_versions.fetch(lakehouse.settings, world.DEMO, made.version)
        training = bundle.manifest.training
        assert bundle.sha256 == made.trained.bundle.sha256
        assert bundle.manifest.names == ("tx_amount", "hour", "risk", "seldom", "kind")
        assert dict(bundle.manifest.features)["kind"] == "string"
        assert training["versions"] == {"fraud.transactions": 3, "fraud.labels": 4} and training["table_version"] == 0
        assert training["lock_sha256"] == provenance.lock_sha256() and training["code_sha256"]
        assert model_versions.latest_candidate(lakehouse.settings, world.DEMO) == made.version
        assert pins.pinned(lakehouse.settings, world.DEMO.training_set) == [0]

    def test_the_run_has_parameters_metrics_curves_card_and_a_child_for_each_trial(self, trained: Any) -> None:
        lakehouse, made = trained
        with tracking.client(lakehouse.settings) as tracker:
            run = tracker.get_run(made.run_id)
            children = tracker.search_runs(
                [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{made.run_id}'", max_results=100
            )
            curve = tracker.get_metric_history(made.run_id, "curve/precision_by_recall_percent")
            files = {entry.path: entry.file_size for entry in tracker.list_artifacts(made.run_id)}
        assert run.info.status == "FINISHED" and run.data.params["version/fraud.labels"] == "4"
        assert run.data.params["lock_sha256"] and run.data.params["seed"] == "0"
        assert run.data.metrics["average_precision"] == made.trained.winner.metrics["average_precision"]
        assert run.data.metrics["cost/cpu_seconds"] > 0 and run.data.metrics["cost/peak_bytes"] > 1e7
        assert run.data.metrics["cost/money_per_1000"] > 0 and run.data.metrics["slice/large/rows"] > 0
        of_kind, parts = run.data.metrics["slice/of_kind_a/rows"], ("small", "large")
        assert 0.3 < of_kind / sum(run.data.metrics[f"slice/{part}/rows"] for part in parts) < 0.7
        assert len(children) == 6 and all("learning_rate" in child.data.params for child in children)
        assert len(curve) == 100 and all(0 <= point.value <= 1 for point in curve)
        assert {"model_card.md", "signature.json", "precision_recall.png", "tuning_boosted.png", "bundle"} <= set(files)
        assert min(size for path, size in files.items() if path.endswith(".png")) > 2_000  # rendered
        assert "## Limits" in made.card and "risk_then_amount" in made.card

    def test_the_same_training_is_registered_once(self, trained: Any) -> None:
        lakehouse, made = trained
        again = candidate.make(lakehouse, world.DEMO)
        assert again.version == made.version and again.trained is None and "registered before" in again.reason

    def test_another_seed_is_another_version(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        versions = [candidate.make(lakehouse, world.with_problem(seed=seed)).version for seed in (0, 1, 0)]
        assert versions == [1, 2, 1]
        assert model_versions.latest_candidate(lakehouse.settings, world.DEMO) == 1

    def test_the_same_seed_gives_the_same_graph_in_another_process(self, trained: Any, lakehouse: Lakehouse) -> None:
        _, made = trained
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); from worlds import training_world as world\n"
            "from jobs import settings\nfrom jobs.lakehouse.tables import attach\n"
            "from jobs.training import candidate, tune\n"
            "other = attach(settings.load()); world.put(other, world.payments()); tune.tune(other, world.DEMO)\n"
            "print(candidate.make(other, world.DEMO).trained.bundle.manifest.files['model.onnx'])\n"
        )
        environment = {**os.environ, "EVERGREEN_HOME": str(lakehouse.settings.home), "PYTHONHASHSEED": "5"}
        found = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parents[2])],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.split()[-1] == made.trained.bundle.manifest.files[GRAPH]

    def test_the_final_model_has_seen_more_rows_than_the_validated_one_and_no_judged_ones(self, trained: Any) -> None:
        _, made = trained
        rows = made.trained.rows
        assert rows["training"] < rows["final"] and rows["final"] + rows["judged"] < 80 * 40

    def test_a_family_that_cannot_learn_is_named_and_does_not_stop_the_others(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        families = (*world.PROBLEM.families, replace(world.PROBLEM.families[0], fixed={"no_such_parameter": 1}))
        made = candidate.make(lakehouse, world.with_problem(families=families[1:]))
        assert made.version == 1 and made.trained is not None and made.trained.winner.name == "boosted"
        assert "no_such_parameter" in made.card

    def test_features_that_are_all_missing_in_validation_do_not_break_training(self, lakehouse: Lakehouse) -> None:
        payments = world.payments()
        seldom = payments["seldom"].to_numpy().copy()
        seldom[len(seldom) // 2 :] = np.nan
        world.put(lakehouse, payments.set_column(6, "seldom", pa.array(seldom)))
        made = candidate.make(lakehouse, world.DEMO)
        assert made.trained is not None and np.isfinite(made.trained.winner.scores).all()


class TestRefusals:
    @pytest.mark.parametrize("days", [0, 10, 35])
    def test_a_world_too_young_is_refused_and_nothing_is_registered(self, lakehouse: Lakehouse, days: int) -> None:
        world.put(lakehouse, world.payments(days=80).slice(0, 0) if days == 0 else world.payments(days=days))
        tuned, made = tune.tune(lakehouse, world.DEMO), candidate.make(lakehouse, world.DEMO)
        assert tuned.refused and made.version is None and "wait for more days" in made.reason
        assert model_versions.latest_candidate(lakehouse.settings, world.DEMO) is None

    @pytest.mark.parametrize("label", [True, False])
    def test_a_single_class_is_refused(self, lakehouse: Lakehouse, label: bool) -> None:
        payments = world.payments()
        world.put(lakehouse, payments.set_column(8, "is_fraud", pa.array([label] * len(payments))))
        assert tune.tune(lakehouse, world.DEMO).refused
        with pytest.raises(ValueError, match=f"labels of both classes, found {len(payments) * label} positives among"):
            candidate.make(lakehouse, world.DEMO)

    def test_without_a_training_set_the_error_says_what_to_do(self, lakehouse: Lakehouse) -> None:
        with pytest.raises(ValueError, match="materialize it first"):
            tune.tune(lakehouse, world.DEMO)


class TestReproduce:
    def test_metrics_and_graph_come_out_the_same_also_after_maintenance(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        tune.tune(lakehouse, world.DEMO)
        made = candidate.make(lakehouse, world.DEMO)
        assert made.version is not None
        for seed in range(1, 6):
            world.put(lakehouse, world.payments(seed=seed))
        age(lakehouse)
        done = maintenance.maintain(lakehouse, world.DEMO.training_set, retain_hours=0)
        assert done.files > 0
        compared = reproduce.reproduce(lakehouse, world.DEMO, made.version, again=True)
        assert all(one.equal for one in compared), compared
        assert {"average_precision", f"sha256 of {GRAPH}", "tuned num_leaves"} <= {one.name for one in compared}

    def test_a_model_whose_rows_differ_is_told_apart(self, lakehouse: Lakehouse) -> None:
        version = world.put(lakehouse, world.payments())
        made = candidate.make(lakehouse, world.DEMO)
        other = Lakehouse(replace(lakehouse.settings, warehouse_url=str(lakehouse.settings.home / "elsewhere")))
        assert made.version is not None and world.put(other, world.payments(seed=9)) == version
        compared = {one.name: one for one in reproduce.reproduce(other, world.DEMO, made.version)}
        assert not compared["average_precision"].equal and not compared[f"sha256 of {GRAPH}"].equal

    def test_an_unknown_version_is_a_clear_error(self, trained: Any) -> None:
        lakehouse, _ = trained
        with pytest.raises(ValueError, match="expected model version 99"):
            reproduce.reproduce(lakehouse, world.DEMO, 99)


class TestRegistry:
    def test_aliases_move_and_go(self, trained: Any) -> None:
        lakehouse, made = trained
        model_versions.set_aliases(lakehouse.settings, world.DEMO, {"champion": made.version, "previous": made.version})
        model_versions.set_aliases(lakehouse.settings, world.DEMO, {"champion": made.version, "previous": None})
        assert model_versions.aliases(lakehouse.settings, world.DEMO) == {
            "candidate": made.version, "champion": made.version,
        }  # fmt: skip

    def test_aliases_of_this_home_are_what_mlflow_says_and_read_without_it(self, lakehouse: Lakehouse) -> None:
        own = lakehouse.settings
        with tracking.client(own) as registry:
            registry.create_registered_model(world.DEMO.name)
            registry.create_registered_model("another")
            for name, alias in ((world.DEMO.name, "candidate"), (world.DEMO.name, "mine"), ("another", "champion")):
                version = registry.create_model_version(name, source=str(own.home), await_creation_for=0)
                registry.set_registered_model_alias(name, alias, version.version)
            said = model_versions.aliases_of(registry, world.DEMO)
        script = (
            "import sys; from jobs import settings; from jobs.registry import model_versions\n"
            "from worlds.training_world import DEMO\n"
            "held = model_versions.aliases(settings.load(), DEMO)\n"
            "model_versions.set_aliases(settings.load(), DEMO, {'candidate': held['candidate'], 'previous': None})\n"
            "print(held, 'mlflow' in sys.modules)"
        )
        environment = {**os.environ, "EVERGREEN_HOME": str(own.home), "PYTHONPATH": os.pathsep.join(sys.path)}
        asked = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)
        assert said == {"candidate": 1, "mine": 2} and asked.stdout.decode().strip() == f"{said} False"

    def test_a_damaged_database_of_mlflow_is_not_taken_for_one_without_aliases(self, lakehouse: Lakehouse) -> None:
        database = lakehouse.settings.home / "tracking" / "mlflow.db"
        database.parent.mkdir(parents=True, exist_ok=True)
        database.write_bytes(b"no database at all" * 100)
        with pytest.raises(tracking.TrackingUnavailable, match="a damaged file"):
            model_versions.latest_candidate(lakehouse.settings, world.DEMO)

    def test_a_corrupt_artifact_is_refused_and_a_corrupt_copy_fetched_again(self, lakehouse: Lakehouse) -> None:
        world.put(lakehouse, world.payments())
        made = candidate.make(lakehouse, world.DEMO)
        assert made.version is not None
        copy = model_versions.fetch(lakehouse.settings, world.DEMO, made.version)
        (copy.folder / GRAPH).write_bytes(b"changed")
        again = model_versions.fetch(lakehouse.settings, world.DEMO, made.version)
        assert hashlib.sha256((again.folder / GRAPH).read_bytes()).hexdigest() == again.manifest.files[GRAPH]
        stored = next((lakehouse.settings.home / "tracking" / "artifacts").rglob(GRAPH))
        stored.write_bytes(b"changed")
        (again.folder / GRAPH).unlink()
        with pytest.raises(BundleError, match=r"model\.onnx"):
            model_versions.fetch(lakehouse.settings, world.DEMO, made.version)
        assert not (lakehouse.settings.home / "models" / "fraud" / str(made.version)).exists()
        stored.unlink()
        with pytest.raises(BundleError):
            model_versions.fetch(lakehouse.settings, world.DEMO, made.version)


def age(lakehouse: Lakehouse) -> None:
    """Make every file but the newest log entry look 60 days old."""
    table = world.DEMO.training_set
    newest = f"{lakehouse.version(table):020}.json"
    for path in Path(lakehouse.path(table)).rglob("*"):
        if path.is_file() and path.name != newest:
            os.utime(path, (path.stat().st_mtime - 60 * 86400,) * 2)
