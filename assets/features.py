"""Window features and the online store, as assets over the marts."""

from datetime import datetime

import dagster as dg

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys, mart
from assets.metadata import column_schema, describe, mapping_table
from jobs.checks import online_store as online_checks
from jobs.checks import rows_of_events
from jobs.data_dictionary.tables import DataDictionary
from jobs.features import window_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset per window table, and the online store."""
    return [*(_window_table(use_case, w, partitions) for w in use_case.windows), _online_store(use_case)]


def _window_table(
    use_case: UseCase, windows: WindowFeatures, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    keys, table, dictionary = Keys(use_case), use_case.window_table(windows), DataDictionary(use_case)
    decisions, facts = [] if use_case.learned is None else [keys.online_decisions], use_case.fact_mart(windows)

    @asset(
        use_case,
        keys.window_tables[windows.name],
        partitions,
        declaration=windows,
        deps=[keys.events, keys.labels, *([] if facts is None else [mart(facts.table)]), *decisions],
        checks=(rows_of_events.ROWS_EQUAL_EVENTS, rows_of_events.NO_FUTURE),
        kinds={"delta", "polars"},
        description=windows.description or f"Window features of {' and '.join(windows.keys)}, a row per event.",
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
            facts=facts,
            decisions=prediction_log.table(use_case),
            arrivals=use_case.raw_events,
        )
        as_of = datetime.fromisoformat(lakehouse.state(table)["as_of"])
        rows = rows_of_events.EventRows(table, "event_timestamp", "created_timestamp")
        return dg.MaterializeResult(
            check_results=results(rows_of_events.judge(lakehouse, use_case, rows, as_of, result.days)),
            metadata={
                **describe(context, lakehouse, table, dictionary, windows.names),
                "rows_written": result.rows_written,
                "days_written": len(result.days),
            },
        )

    return window_table


def _online_store(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_store,
        deps=[*keys.window_tables.values(), *keys.profiles],
        checks=[online_checks.EQUALS_TABLES],
        kinds={"feast"},
        description="Latest features per entity for online reads; never moves back in time, applies corrections.",
    )
    def online_store(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.feature_store import materialization

        as_of = run_context.moment(context, lakehouse, use_case)
        result = materialization.materialize(lakehouse, use_case, as_of)
        return dg.MaterializeResult(
            metadata={"feature_views": mapping_table(result)},
            check_results=results([online_checks.equals_tables(lakehouse, use_case, as_of)]),
        )

    return online_store
