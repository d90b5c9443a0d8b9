"""The Dagster code location: use cases become assets, checks, jobs and schedules. Wiring only."""

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster_dbt.dbt_manifest import validate_manifest

from assets import (
    actions,
    business,
    datasets,
    decisions,
    drift,
    evaluation,
    export,
    feature_search,
    features,
    ground_truth,
    ingest,
    leaderboard,
    online_drift,
    online_skew,
    promotion,
    retraining,
    rollouts,
    scoring,
    streams,
    training,
    transforms,
)
from jobs import settings as settings_module
from jobs.datasets import declared_names
from jobs.feature_store import feature_repo
from jobs.lakehouse import dbt_models
from jobs.settings import ROOT, Settings
from jobs.streams import control
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration import (
    alert_sensors,
    automation,
    executor,
    hourly,
    partitions,
    repository_links,
    resources,
    rollout_sensor,
    sensors,
    server_sensor,
    shipping_sensor,
    stream_sensor,
)
from orchestration.project import enter

FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


def build_definitions(
    resource_overrides: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    use_cases: Sequence[UseCase] = USE_CASES,
) -> dg.Definitions:
    """Definitions of all use cases; tests pass their own settings, use cases or resources."""
    settings = settings or settings_module.load()
    with warnings.catch_warnings():
        # Single-run backfills and freshness policies are marked beta; we pin the version.
        warnings.simplefilter("ignore", dg.BetaWarning)
        parts = [_parts(settings, use_case) for use_case in use_cases]
    watched = [] if settings.server_url is None else [server_sensor.build(settings, settings.server_url)]
    return dg.Definitions(
        assets=repository_links.linked([asset for part in parts for asset in part[0]], ROOT),
        jobs=[job for part in parts for job in part[1]],
        schedules=[schedule for part in parts for schedule in part[2]],
        sensors=[*(sensor for part in parts for sensor in part[3]), *watched],
        executor=executor.build(settings, use_cases),
        resources={**resources.build(settings), **(resource_overrides or {})},
    )


def _parts(settings: Settings, use_case: UseCase) -> tuple[list[dg.AssetsDefinition], list[Any], list[Any], list[Any]]:
    days = partitions.daily(settings, use_case)
    declared_names.refuse_unknown(settings, use_case)
    on_demand = feature_repo.on_demand_sentences(settings.feature_repo, use_case)
    manifest = dbt_models.manifest(settings)
    nodes = validate_manifest(manifest)
    models = transforms.build(settings, use_case, days, manifest)
    streamed = control.is_set_up(settings, use_case)
    raw = ingest.build(use_case, days)
    assets = [
        *(streams.fed(use_case, raw) if streamed else raw),
        models,
        *features.build(use_case, days),
        *datasets.build(use_case, nodes, on_demand),
        *retraining.build(use_case, days),
        *training.build(use_case, days),
        *promotion.build(use_case, days),
        *leaderboard.build(use_case),
        *decisions.build(use_case),
        *online_drift.build(use_case),
        *online_skew.build(use_case),
        *rollouts.build(use_case),
        *scoring.build(use_case, days, nodes, on_demand),
        *actions.build(use_case, days, nodes),
        *export.build(use_case, days),
        *evaluation.build(use_case, days),
        *ground_truth.build(use_case, days),
        *business.build(use_case),
        *drift.build(settings, use_case),
    ]
    fresh = [a.map_asset_specs(lambda spec: spec._replace(freshness_policy=FRESH)) for a in assets]
    lineage, watch = automation.lineage_job(use_case), automation.monitoring_job(use_case)
    retrain, search = automation.retraining_job(use_case), automation.feature_search_job(use_case)
    watching = [*sensors.build(settings, use_case, watch, retrain), *alert_sensors.build(use_case, settings)]
    ship = shipping_sensor.shipping_job(use_case)
    watching += [*shipping_sensor.build(settings, use_case, ship), *rollout_sensor.build(settings, use_case)]
    # A use case without a problem ends at its training set: there is nothing to monitor.
    hour = hourly.hourly_job(use_case)
    jobs = [lineage, watch, retrain, search, ship, hour] if use_case.learned else [lineage]
    # What runs on demand only is never stale.
    fresh += feature_search.build(use_case)
    fresh += transforms.checks(models, use_case, nodes)
    if streamed:
        fresh += streams.build(settings, use_case)
        watching.append(stream_sensor.build(settings, use_case))
    schedules = [automation.nightly(settings, use_case, lineage), *hourly.build(settings, use_case, hour)]
    return fresh, jobs, schedules, watching


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev -m orchestration.definitions` loads; it is built on loading only."""
    enter(settings_module.load())
    return build_definitions()
