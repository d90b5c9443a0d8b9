"""A search for features as an asset: only what a person launches, as the job of its name or on its page, runs it."""

from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.ledger_columns import ledger_columns
from assets.metadata import markdown_table
from assets.run_context import moment
from jobs.alerts import evidence_alerts
from jobs.checks import feature_search as checks
from jobs.feature_search import outcome
from jobs.feature_search.outcome import Kept
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

GROUP = "retraining"
SECONDS = 30 * 60


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The search; nothing for a use case that learns nothing."""
    return [_search(use_case)] if use_case.learned else []


def _search(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.feature_search,
        group_name=GROUP,
        deps=[keys.events, keys.labels],
        checks=[checks.SEARCH_ENDED],
        metadata=ledger_columns("feature_searches"),
        kinds={"polars"},
        description="Window features that would help beyond noise on later days, as a report and a patch to read. No "
        "schedule and no sensor runs it: the retraining loop says when it is due, and a person launches it.",
    )
    def feature_search(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> dg.MaterializeResult[None]:
        as_of = moment(context, lakehouse, use_case)
        kept = outcome.run(lakehouse, use_case, as_of, SECONDS, now, report=context.log.info)
        if kept.answered:
            evidence_alerts.settle_search(lakehouse.settings, use_case, None, now)
        return dg.MaterializeResult(metadata=_metadata(kept), check_results=results([checks.search_ended(kept.found)]))

    return feature_search


def _metadata(kept: Kept) -> dict[str, Any]:
    said = kept.found.summary()
    shown = ("feature", "of", "difference", "lower", "microseconds")
    proposed = [{name: one[name] for name in shown} for one in said["proposed"]]
    return {
        "proposed": markdown_table(pa.Table.from_pylist(proposed)) if proposed else "nothing",
        "ended": said["ended"],
        **{what: str(path) for what, path in kept.files.items()},
    }
