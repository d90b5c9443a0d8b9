"""Window features, the training set and the online store, as assets over the marts."""

import dagster as dg

from assets import run_context
from assets.metadata import describe, mapping_table
from assets.transforms import mart_key
from jobs.features import window_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset per window table, the online store, and the training set."""
    windows = [_window_table(use_case, w, partitions) for w in use_case.windows]
    history = [] if use_case.problem is None else [_history(use_case)]
    return [*windows, _online_store(use_case), *history, _training_set(use_case)]


def key(use_case: UseCase, name: str) -> dg.AssetKey:
    return dg.AssetKey([use_case.name, "features", name])


def _window_table(
    use_case: UseCase, windows: WindowFeatures, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    table = use_case.window_table(windows)

    @dg.asset(
        key=key(use_case, windows.name),
        deps=[mart_key(use_case.events), mart_key(use_case.labels)],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="features",
        kinds={"delta", "polars"},
        owners=list(use_case.owners),
        tags={"use_case": use_case.name},
        description=windows.description,
        code_version=windows.fingerprint,
        metadata={"declaration": mapping_table({f.name: f.description for f in windows.features}, ("feature", "what"))},
    )
    def window_table(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        result = window_tables.update(
            lakehouse,
            windows,
            use_case.events,
            use_case.labels,
            table,
            run_context.moment(context, lakehouse, use_case),
        )
        return dg.MaterializeResult(
            metadata={
                **describe(context, lakehouse, table, windows.names, {f.name: f.description for f in windows.features}),
                "rows_written": result.rows_written,
                "days_written": len(result.days),
            }
        )

    return window_table


def _online_store(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(use_case, "online_store"),
        deps=[key(use_case, w.name) for w in use_case.windows],
        group_name="features",
        kinds={"feast"},
        owners=list(use_case.owners),
        tags={"use_case": use_case.name},
        description="Latest features per entity for online reads; never moves back in time, applies corrections.",
    )
    def online_store(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.feature_store import store

        result = store.materialize(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        return dg.MaterializeResult(metadata={"feature_views": mapping_table(result)})

    return online_store


def _history(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(use_case, "history"),
        deps=[key(use_case, w.name) for w in use_case.windows] + [mart_key(use_case.events), mart_key(use_case.labels)],
        group_name="features",
        kinds={"delta", "feast"},
        owners=list(use_case.owners),
        tags={"use_case": use_case.name},
        description="Every event with the features known at its own time, labelled or not: what monitoring looks at.",
    )
    def history(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import history as job

        result = job.build(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        return dg.MaterializeResult(metadata={**describe(context, lakehouse, job.table(use_case)), **result})

    return history


def _training_set(use_case: UseCase) -> dg.AssetsDefinition:
    features = [key(use_case, w.name) for w in use_case.windows]
    history = [] if use_case.problem is None else [key(use_case, "history")]

    @dg.asset(
        key=key(use_case, "training_set"),
        deps=[*features, *history, mart_key(use_case.events), mart_key(use_case.labels)],
        group_name="training",
        kinds={"delta", "feast"},
        owners=list(use_case.owners),
        tags={"use_case": use_case.name},
        description="Labelled entity rows of a window ending at as_of, with the features known at each row's time.",
    )
    def training_set(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import training_set as job

        result = job.build(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        said = {f.name: f.description for w in use_case.windows for f in w.features}
        described = describe(context, lakehouse, use_case.training_set, list(said), said)
        versions = lakehouse.state(use_case.training_set).get("versions", {})
        built_from = mapping_table(versions, ("table", "Delta version"))
        return dg.MaterializeResult(metadata={**described, "build": mapping_table(result), "built_from": built_from})

    return training_set
