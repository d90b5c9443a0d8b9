"""Events with the features known at their own time, as assets: the history that is monitored, and the training set."""

import dagster as dg

from assets import run_context
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import describe, mapping_table
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The training set, and the history of a use case that has a problem."""
    return [*([] if use_case.problem is None else [_history(use_case)]), _training_set(use_case)]


def _history(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.history,
        deps=[*keys.window_tables.values(), keys.events, keys.labels],
        kinds={"delta", "feast"},
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
    keys = Keys(use_case)
    history = [] if use_case.problem is None else [keys.history]

    @asset(
        use_case,
        keys.training_set,
        deps=[*keys.window_tables.values(), *history, keys.events, keys.labels],
        group_name="training",
        kinds={"delta", "feast"},
        description="Labelled entity rows of a window ending at as_of, with the features known at each row's time.",
    )
    def training_set(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import training_set as job

        result = job.build(lakehouse, use_case, run_context.moment(context, lakehouse, use_case))
        descriptions = {f.name: f.description for w in use_case.windows for f in w.features}
        described = describe(context, lakehouse, use_case.training_set, list(descriptions), descriptions)
        versions = lakehouse.state(use_case.training_set).get("versions", {})
        built_from = mapping_table(versions, ("table", "Delta version"))
        return dg.MaterializeResult(metadata={**described, "build": mapping_table(result), "built_from": built_from})

    return training_set
