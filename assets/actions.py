"""The review queue of a day, as an asset: made once from the day's predictions, shown with what was asked and why."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.event_tables import event_fields, shown
from assets.keys import Keys
from assets.metadata import describe, mapping_table, markdown_table
from jobs.actions import review_queue as reviews
from jobs.checks import decisions as decision_checks
from jobs.data_dictionary.tables import DataDictionary
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.use_case import UseCase

SHOWN = 100


def build(
    use_case: UseCase, partitions: dg.PartitionsDefinition, manifest: Mapping[str, Any]
) -> list[dg.AssetsDefinition]:
    """The review queue of a use case; none without a problem, or one that declares neither a review nor a queue.

    Args:
        manifest: dbt's, as JSON: it lists the columns of events.
    """
    if use_case.learned is None or not (use_case.learned.review or use_case.learned.queue):
        return []
    events = [f for f in event_fields(use_case, manifest) if f.name in prediction_log.event_columns(use_case)]
    return [_review_queue(use_case, partitions, events)]


def _review_queue(
    use_case: UseCase, partitions: dg.PartitionsDefinition, events: Sequence[pa.Field]
) -> dg.AssetsDefinition:
    keys, dictionary = Keys(use_case), _dictionary(use_case)
    columns = [*events, *(pa.field(name, kind) for name, (kind, _) in reviews.columns(use_case).items())]

    @asset(
        use_case,
        keys.review_queue,
        partitions,
        deps=[keys.batch_predictions, keys.labels, keys.online_decisions],
        checks=[decision_checks.QUEUE_OF_SCORED_EVENTS],
        kinds={"delta"},
        description="Events of the last day for reviewers: what matters most, the model's doubts, and some at random.",
        metadata=shown(columns, dictionary),
    )
    def review_queue(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        inputs = registered_inputs.ensure(lakehouse.settings, use_case)
        as_of = run_context.as_of(context, inputs.end)
        # Of a backfill only the last day can still be acted on.
        day = (run_context.days(context) or (inputs.first_day, inputs.last_day))[1]
        try:
            queue = reviews.make_queue(lakehouse, use_case, day, as_of)
        except reviews.NothingScored:
            return dg.MaterializeResult(metadata={"notes": f"nothing of {day} is scored: there is nothing to review"})
        outcomes = [decision_checks.queue_of_scored_events(lakehouse, use_case, day, queue)] if queue.num_rows else []
        return dg.MaterializeResult(
            metadata=_metadata(context, lakehouse, use_case, queue), check_results=results(outcomes)
        )

    return review_queue


def _dictionary(use_case: UseCase) -> DataDictionary:
    return DataDictionary(use_case, {name: text for name, (_, text) in reviews.columns(use_case).items()})


def _metadata(context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase, queue: Any) -> dict[str, Any]:
    if not queue.num_rows:
        return {"notes": "no event is left to review"}
    names = [use_case.event_id, *use_case.entities, "score", "place", "reason", "propensity"]
    dictionary = _dictionary(use_case)
    reasons = queue["reason"].to_pylist()
    return {
        **describe(context, lakehouse, reviews.table(use_case), dictionary),
        "queue": markdown_table(queue.select(names).slice(0, SHOWN), names[:-4]),
        "reasons": mapping_table({reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}),
        "rows_of_the_last_day": queue.num_rows,
    }
