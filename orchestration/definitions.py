"""The Dagster code location: use cases become assets, checks, jobs and schedules. Wiring only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from assets import features, raw, transforms
from jobs import settings as settings_module
from jobs import transforms as dbt_project
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration import automation, partitions, resources

FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


def build_definitions(
    resource_overrides: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    use_cases: Sequence[UseCase] = USE_CASES,
) -> dg.Definitions:
    """Definitions of all use cases; tests pass their own settings, use cases or resources."""
    settings = settings or settings_module.load()
    manifest = dbt_project.manifest(settings)
    assets: list[dg.AssetsDefinition] = []
    jobs, schedules = [], []
    for use_case in use_cases:
        days = partitions.daily(settings, use_case)
        assets += [
            *raw.build(use_case, days),
            transforms.build(use_case, days, manifest),
            *features.build(use_case, days),
        ]
        jobs.append(automation.lineage_job(use_case))
        schedules.append(automation.nightly(use_case, jobs[-1]))
    return dg.Definitions(
        assets=[a.map_asset_specs(lambda spec: spec._replace(freshness_policy=FRESH)) for a in assets],
        jobs=jobs,
        schedules=schedules,
        resources={**resources.build(settings), **(resource_overrides or {})},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev -m orchestration.definitions` loads; built only then."""
    return build_definitions()
