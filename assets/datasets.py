"""Events with the features known at their own time, as assets: the history that is monitored, and the training set."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.event_tables import DAY, event_fields, feature_fields, shown
from assets.keys import Keys
from assets.metadata import describe, mapping_table
from jobs.checks import rows_of_events
from jobs.checks import training_set as training_set_checks
from jobs.data_dictionary.tables import DataDictionary
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase


def build(use_case: UseCase, manifest: Mapping[str, Any], on_demand: Mapping[str, str]) -> list[dg.AssetsDefinition]:
    """The training set, and the history of a use case that has a problem.

    Args:
        manifest: dbt's, as JSON: it lists the columns of events.
        on_demand: sentences of the features that Feast computes on demand.
    """
    events = event_fields(use_case, manifest)
    history = [] if use_case.learned is None else [_history(use_case, events, on_demand)]
    return [*history, _training_set(use_case, events, on_demand)]


def _history(use_case: UseCase, events: Sequence[pa.Field], on_demand: Mapping[str, str]) -> dg.AssetsDefinition:
    keys = Keys(use_case)
    columns = [*events, pa.field("event_known_at", pa.int64()), *feature_fields(use_case, on_demand), DAY]

    @asset(
        use_case,
        keys.history,
        deps=[*keys.window_tables.values(), *keys.profiles, keys.events, keys.labels],
        checks=(rows_of_events.ROWS_EQUAL_EVENTS, rows_of_events.NO_FUTURE),
        kinds={"delta", "feast"},
        description="Every event with the features known at its own time, labelled or not: what monitoring looks at.",
        metadata=shown(columns, DataDictionary(use_case, on_demand)),
    )
    def history(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import history as job

        result = job.build(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        table = job.table(use_case)
        rows = rows_of_events.EventRows(table, use_case.event_timestamp, "event_known_at")
        as_of = datetime.fromisoformat(lakehouse.state(table)["as_of"])
        return dg.MaterializeResult(
            metadata={**describe(context, lakehouse, table, _dictionary(lakehouse, use_case, table)), **result},
            check_results=results(rows_of_events.judge(lakehouse, use_case, rows, as_of)),
        )

    return history


def _training_set(use_case: UseCase, events: Sequence[pa.Field], on_demand: Mapping[str, str]) -> dg.AssetsDefinition:
    keys, label = Keys(use_case), pa.field(use_case.label, _label_type(use_case))
    columns = [*events, label, *feature_fields(use_case, on_demand), DAY]
    history = [] if use_case.learned is None else [keys.history]

    @asset(
        use_case,
        keys.training_set,
        deps=[*keys.window_tables.values(), *keys.profiles, *history, keys.events, keys.labels],
        group_name="training",
        checks=training_set_checks.CHECKS,
        kinds={"delta", "feast"},
        description="Labelled entity rows of a window ending at as_of, with the features known at each row's time.",
        metadata=shown(columns, DataDictionary(use_case, on_demand)),
    )
    def training_set(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import training_set as job

        result = job.build(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        plotted = [name for windows in use_case.windows for name in windows.names]
        dictionary = _dictionary(lakehouse, use_case, use_case.training_set)
        described = describe(context, lakehouse, use_case.training_set, dictionary, plotted)
        state = lakehouse.state(use_case.training_set)
        built_from = mapping_table(state["versions"], ("table", "Delta version"))
        return dg.MaterializeResult(
            metadata={**described, "build": mapping_table(result), "built_from": built_from},
            check_results=results(training_set_checks.judge(lakehouse, use_case, state)),
        )

    return training_set


def _label_type(use_case: UseCase) -> pa.DataType:
    """As far as it is declared: what the mart holds decides."""
    types = {"multiclass": pa.string(), "regression": pa.float64()}
    return types.get(use_case.task, pa.bool_())


def _dictionary(lakehouse: Lakehouse, use_case: UseCase, table: str) -> DataDictionary:
    """Of a table of events with the features of the use case's service."""
    from jobs.feature_store import feature_meanings

    features = lakehouse.state(table).get("features", ())
    return DataDictionary(use_case, feature_meanings.read(lakehouse.settings, use_case, features))
