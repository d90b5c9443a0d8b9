"""Window features and the online store, as assets over the marts."""

import dagster as dg

from assets import run_context
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import column_schema, describe, mapping_table
from jobs.data_dictionary.tables import DataDictionary
from jobs.features import window_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset per window table, and the online store."""
    return [*(_window_table(use_case, w, partitions) for w in use_case.windows), _online_store(use_case)]


def _window_table(
    use_case: UseCase, windows: WindowFeatures, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    keys, table, dictionary = Keys(use_case), use_case.window_table(windows), DataDictionary(use_case)

    @asset(
        use_case,
        keys.window_tables[windows.name],
        partitions,
        declaration=windows,
        deps=[keys.events, keys.labels],
        kinds={"delta", "polars"},
        description=windows.description or f"Window features of {windows.entity}, a row per event.",
        code_version=windows.fingerprint,
        metadata={"dagster/column_schema": column_schema(windows.schema(), dictionary)},
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
                **describe(context, lakehouse, table, dictionary, windows.names),
                "rows_written": result.rows_written,
                "days_written": len(result.days),
            }
        )

    return window_table


def _online_store(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_store,
        deps=list(keys.window_tables.values()),
        kinds={"feast"},
        description="Latest features per entity for online reads; never moves back in time, applies corrections.",
    )
    def online_store(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.feature_store import materialization

        result = materialization.materialize(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        return dg.MaterializeResult(metadata={"feature_views": mapping_table(result)})

    return online_store
