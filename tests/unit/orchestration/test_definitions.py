"""What the code location defines, line by line, against the snapshot that is committed next to this test.

A change made on purpose is written with `python tests/unit/orchestration/test_definitions.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg

from jobs import settings
from jobs.use_cases.fraud import FRAUD
from orchestration.definitions import build_definitions

SNAPSHOT = Path(__file__).with_name("definitions.txt")


def described(home: Path) -> list[str]:
    """A line per asset, check, job, schedule, sensor and resource."""
    definitions = build_definitions(settings=settings.load({"EVERGREEN_HOME": str(home)}))
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    repository = definitions.get_repository_def()
    lines = [line for spec in specs for line in _asset(spec)]
    graph = repository.asset_graph
    lines += [
        f"check {key.to_user_string()}: blocking {graph.get(key).blocking}" for key in sorted(graph.asset_check_keys)
    ]
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        lines += _job(job)
    lines += [f"schedule {s.name}: {s.job_name} at {s.cron_schedule}" for s in repository.schedule_defs]
    lines += [f"sensor {s.name}: {_sensor(s)}" for s in sorted(repository.sensor_defs, key=lambda s: s.name)]
    return [*lines, f"resources: {', '.join(sorted(repository.get_top_level_resources()))}"]


def _asset(spec: dg.AssetSpec) -> Iterator[str]:
    yield f"asset {spec.key.to_user_string()}"
    tags = ", ".join(f"{name}={value}" for name, value in spec.tags.items() if not name.startswith("dagster/"))
    yield f"  group {spec.group_name}; {', '.join(sorted(spec.kinds))}; {', '.join(spec.owners)}; {tags or 'no tags'}"
    partitions, fresh = "daily" if spec.partitions_def else "none", "yes" if spec.freshness_policy else "no"
    yield f"  partitions {partitions}; freshness policy {fresh}"
    yield from (f"  from {key}" for key in sorted(dep.asset_key.to_user_string() for dep in spec.deps))


def _job(job: dg.JobDefinition) -> Iterator[str]:
    if job.name.startswith("__"):
        return
    yield f"job {job.name}"
    yield from sorted(f"  {key.to_user_string()}" for key in job.asset_layer.executable_asset_keys)


def _sensor(sensor: dg.SensorDefinition) -> str:
    jobs = ", ".join(target.job_name for target in sensor.targets) or "no job"
    return f"{jobs}; every {sensor.minimum_interval_seconds} s; {sensor.default_status.value}"


def test_a_lineage_that_ends_at_its_training_set_has_the_assets_of_one_without_a_problem(tmp_path: Path) -> None:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    ended, without = (
        {spec.key for spec in build_definitions(settings=own, use_cases=(one,)).resolve_all_asset_specs()}
        for one in (replace(FRAUD, ends_at_training_set=True), replace(FRAUD, problem=None))
    )
    assert ended == without


def test_the_code_location_defines_what_the_snapshot_says(tmp_path: Path) -> None:
    assert described(tmp_path) == SNAPSHOT.read_text().splitlines()


def test_every_asset_has_a_check(tmp_path: Path) -> None:
    definitions = build_definitions(settings=settings.load({"EVERGREEN_HOME": str(tmp_path)}))
    checked = {key.asset_key for key in definitions.get_repository_def().asset_graph.asset_check_keys}
    assert {spec.key for spec in definitions.resolve_all_asset_specs()} - checked == set()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.write_text("\n".join(described(Path(folder))) + "\n")
