"""Nightly batch predictions, as an asset: scored into the prediction log, then pushed to a database."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.event_tables import event_fields, feature_fields, shown
from assets.keys import Keys
from assets.metadata import describe, mapping_table
from assets.pictures import scores
from jobs.checks import predictions
from jobs.data_dictionary.tables import DataDictionary
from jobs.lakehouse.tables import Lakehouse
from jobs.registry.champion_bundles import Champions
from jobs.scoring import prediction_log
from jobs.use_case import UseCase


class Backfill(dg.Config):
    """What a person may ask for in the launchpad."""

    model_version: int | None = None
    """Score with this version instead of the champion of each night."""


def build(
    use_case: UseCase,
    partitions: dg.PartitionsDefinition,
    manifest: Mapping[str, Any],
    on_demand: Mapping[str, str],
) -> list[dg.AssetsDefinition]:
    """The batch predictions of a use case; none without a problem to solve.

    Args:
        manifest: dbt's, as JSON: it lists the columns of events.
        on_demand: sentences of the features that Feast computes on demand.
    """
    if use_case.learned is None:
        return []
    return [_batch_predictions(use_case, partitions, event_fields(use_case, manifest), on_demand)]


def _batch_predictions(
    use_case: UseCase,
    partitions: dg.PartitionsDefinition,
    events: Sequence[pa.Field],
    on_demand: Mapping[str, str],
) -> dg.AssetsDefinition:
    keys, dictionary = Keys(use_case), DataDictionary(use_case, {**prediction_log.descriptions(use_case), **on_demand})

    @asset(
        use_case,
        keys.batch_predictions,
        partitions,
        deps=[
            keys.events,
            *keys.window_tables.values(),
            keys.champion,
            # Decisions that were made online are in the log before others read it.
            keys.online_decisions,
        ],
        checks=predictions.CHECKS,
        kinds={"delta", "onnx"},
        description="Every event of a day, scored by the champion of that night on features as of then.",
        metadata=shown(_columns(use_case, events, on_demand), dictionary),
    )
    def batch_predictions(
        context: dg.AssetExecutionContext,
        config: Backfill,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> dg.MaterializeResult[None]:
        from jobs.scoring import batch, publish

        as_of = run_context.moment(context, lakehouse, use_case)
        first, last = run_context.days(context) or (as_of.date() - timedelta(days=1),) * 2
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        version = config.model_version
        chosen = None if version is None else champions.version(use_case, version)
        result = batch.score_days(
            lakehouse, use_case, days, as_of, lambda moment: chosen or champions.at(use_case, moment)
        )
        outcomes = predictions.judge(lakehouse, use_case, result.models, as_of)
        # Nobody is given what a check holds back.
        published = {} if any(each.holds_back for each in outcomes) else publish.publish(lakehouse, use_case, days)
        metadata = _metadata(context, lakehouse, use_case, result, published)
        return dg.MaterializeResult(metadata=metadata, check_results=results(outcomes))

    return batch_predictions


def _metadata(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    use_case: UseCase,
    result: Any,
    published: dict[date, int],
) -> dict[str, Any]:
    missing = len(result.without_champion)
    notes = {"notes": f"{missing} days without a champion: not scored"} if missing and not result.models else {}
    if result.version is None:
        return notes
    table, dictionary = prediction_log.table(use_case), _dictionary(lakehouse, use_case)
    scored = _scored(lakehouse, table, max(result.models)) if result.models else None
    share = pc.mean(scored["decision"]).as_py() if scored is not None else None
    more = {
        "score_histogram": scores.scores(scored["score"].to_numpy()),
        **({"share_decided_positive": share} if share is not None else {}),
        "rows_of_the_last_day": scored.num_rows,
    } if scored is not None and scored.num_rows else {}  # fmt: skip
    models = {str(day): version for day, version in result.models.items()}
    return {
        **notes,
        **describe(context, lakehouse, table, dictionary, more=more),
        **({"model_version": max(models.items())[1]} if models else {}),
        "rows_written": sum(result.rows.values()),
        "days_written": len(result.rows),
        "days_without_champion": missing,
        "models": mapping_table(dict(list(models.items())[-31:]), ("night of", "model version")),
        "rows_published": sum(published.values()),
        "published_to": lakehouse.settings.predictions,
    }


def _columns(use_case: UseCase, events: Sequence[pa.Field], on_demand: Mapping[str, str]) -> list[pa.Field]:
    """Those of the log, as far as declarations name them."""
    own = [pa.field(name, kind) for name, (kind, _) in prediction_log.decided(use_case).items()]
    ids = [field for field in events if field.name in prediction_log.event_columns(use_case)]
    return [*ids, *own, *prediction_log.input_fields(use_case), *feature_fields(use_case, on_demand, pa.float32())]


def _dictionary(lakehouse: Lakehouse, use_case: UseCase) -> DataDictionary:
    from jobs.feature_store import feature_meanings

    decided = prediction_log.descriptions(use_case)
    inputs = [field.name for field in prediction_log.input_fields(use_case)]
    event = {*prediction_log.event_columns(use_case), *inputs}
    features = [n for n in lakehouse.schema(prediction_log.table(use_case)).names if n not in {*event, *decided}]
    return DataDictionary(use_case, {**decided, **feature_meanings.read(lakehouse.settings, use_case, features)})


def _scored(lakehouse: Lakehouse, table: str, day: date) -> pa.Table:
    nightly = [("event_date", "=", day), ("origin", "=", prediction_log.NIGHTLY)]
    return lakehouse.to_arrow(table, columns=["score", "decision"], filters=nightly)
