"""The review queue of a day, as an asset: made once from the day's predictions, shown with what was asked and why."""

from typing import Any

import dagster as dg

from assets import run_context
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import describe, mapping_table, markdown_table
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

SHOWN = 100


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The review queue of a use case; none without a problem to solve."""
    return [] if use_case.problem is None else [_review_queue(use_case, partitions)]


def _review_queue(use_case: UseCase, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.review_queue,
        partitions,
        deps=[keys.batch_predictions, keys.labels],
        kinds={"delta"},
        description="What reviewers are asked about the last day: highest risk, what the model doubts, and a lot.",
    )
    def review_queue(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.actions import review_queue as reviews

        known = registered_inputs.ensure(lakehouse.settings, use_case)
        as_of = run_context.as_of(context, known.end)
        # Of a backfill only the last day can still be acted on.
        day = (run_context.days(context) or (known.first_day, known.last_day))[1]
        try:
            found = reviews.ask(lakehouse, use_case, day, as_of)
        except reviews.NothingScored as error:
            return dg.MaterializeResult(metadata={"notes": str(error)})
        return dg.MaterializeResult(metadata=_metadata(context, lakehouse, use_case, found))

    return review_queue


def _metadata(context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase, found: Any) -> dict[str, Any]:
    from jobs.actions import review_queue as reviews

    if not found.num_rows:
        return {"notes": "nothing is left to be asked"}
    shown = [use_case.event_id, *use_case.entities, "score", "place", "reason", "propensity"]
    said = {name: text for name, (_, text) in reviews.ASKED.items()}
    reasons = found["reason"].to_pylist()
    return {
        **describe(context, lakehouse, reviews.table(use_case), (), said),
        "queue": markdown_table(found.select(shown).slice(0, SHOWN)),
        "reasons": mapping_table({reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}),
        "rows_of_the_last_day": found.num_rows,
    }
