"""A dbt model for which nobody declared a test has a check all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from deltalake import write_deltalake

from assets import transforms
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
KEY = dg.AssetKey(["fraud", "marts", "terminals"])


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    return attach(Settings(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def defined(lakehouse: Lakehouse) -> tuple[dg.AssetsDefinition, list[dg.AssetsDefinition]]:
    """The models of a project in which the mart of terminals has no test, and their further checks."""
    manifest: dict[str, Any] = json.loads(dbt_models.manifest(lakehouse.settings).read_bytes())
    [mart] = [name for name in dbt_models.models(manifest, FRAUD) if name.endswith("fraud__terminals")]
    for test in [name for name in manifest["child_map"][mart] if name.startswith("test.")]:
        del manifest["nodes"][test], manifest["parent_map"][test], manifest["child_map"][test]
        for children in manifest["child_map"].values():
            children[:] = [child for child in children if child != test]
    path = lakehouse.settings.home / "manifest.json"
    path.write_text(json.dumps(manifest))
    models = transforms.build(lakehouse.settings, FRAUD, DAYS, path)
    return models, transforms.checks(models, FRAUD, manifest)


def test_only_the_model_without_a_test_gets_one(defined: tuple[dg.AssetsDefinition, list[dg.AssetsDefinition]]) -> None:
    models, checks = defined
    assert [spec.asset_key for check in checks for spec in check.check_specs] == [KEY]
    assert {spec.asset_key for check in (models, *checks) for spec in check.check_specs} >= models.keys


@pytest.mark.parametrize(("rows", "inputs", "passed"), [(0, 3, False), (2, 3, True), (0, 0, True)])
def test_it_fails_if_the_table_is_empty_and_what_it_reads_is_not(
    defined: tuple[dg.AssetsDefinition, list[dg.AssetsDefinition]],
    lakehouse: Lakehouse,
    rows: int,
    inputs: int,
    passed: bool,
) -> None:
    for table, count in {"fraud.terminals": rows, "fraud_raw.terminals": inputs}.items():
        path = Path(lakehouse.path(table))
        path.mkdir(parents=True, exist_ok=True)
        write_deltalake(path, pl.DataFrame({"terminal_id": range(count)}).to_arrow(), mode="overwrite")
    models, checks = defined
    job = dg.define_asset_job("checks", dg.AssetSelection.checks(*checks))
    definitions = dg.Definitions([models], asset_checks=checks, jobs=[job], resources={"lakehouse": lakehouse})
    done = definitions.resolve_job_def("checks").execute_in_process()
    [result] = done.get_asset_check_evaluations()
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN) and done.success
