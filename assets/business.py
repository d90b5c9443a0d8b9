"""What decisions came to in terms of the business, by arm, slice and model version, as an asset."""

from typing import Any

import dagster as dg
import polars as pl

from assets.checks import results
from assets.declare import asset
from assets.event_tables import shown
from assets.ground_truth import AHEAD, NOTHING_SCORED
from assets.keys import Keys
from assets.metadata import describe, markdown_table
from assets.pictures import monitoring
from assets.run_context import moment
from jobs.checks.business import EVERY_EVENT_COUNTS, every_event_counts
from jobs.data_dictionary.tables import DataDictionary
from jobs.ground_truth import business_table
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Problem
from jobs.use_case import UseCase

POOLED_DAYS = 14
DRAWN = ("to_review", "blocked", "stopped_money", "missed_money", "earned_money")


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The figures of the business; nothing for a use case without a problem."""
    return [] if use_case.learned is None else [_business(use_case, use_case.learned)]


def _business(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys, dictionary = Keys(use_case), DataDictionary(use_case, business_table.DESCRIPTIONS)
    table = business_table.of(use_case, problem)

    @asset(
        use_case,
        keys.business,
        deps=[keys.batch_predictions, keys.online_decisions, keys.labels],
        checks=[EVERY_EVENT_COUNTS],
        kinds={"delta"},
        description="What decisions came to: reviews, blocks, what was stopped, missed and earned, by day, arm, slice "
        "and model version; live at once, matured once the truth is in.",
        metadata=shown(business_table.SCHEMA, dictionary),
    )
    def business(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.ground_truth import outcomes

        as_of = moment(context, lakehouse, use_case)
        found = outcomes.outcomes(lakehouse, use_case, problem, as_of, slices=problem.slices)
        if found is None:
            return dg.MaterializeResult(metadata={"notes": NOTHING_SCORED})
        recorded = table.record(lakehouse, problem, found.scored)
        rows = table.read(lakehouse, outcomes.first_day(use_case, as_of)).filter(pl.col("event_date") <= as_of.date())
        notes = [*found.left_out, *([AHEAD] if recorded.ahead else [])]
        return dg.MaterializeResult(
            check_results=results([every_event_counts(found.scored, rows)]),
            metadata={
                **({"notes": "\n".join(notes)} if notes else {}),
                **describe(context, lakehouse, table.name, dictionary),
                "days_written": len(recorded.days),
                **_shown(rows),
            },
        )

    return business


def _shown(rows: pl.DataFrame) -> dict[str, Any]:
    every = rows.filter(pl.col("slice") == "all")
    if every.is_empty():  # of a task whose figures all wait for labels
        return {}
    metrics = [name for name in DRAWN if name in set(every["metric"])] or every["metric"].unique().sort().to_list()
    live, matured = rows.filter(pl.col("metric").is_in(business_table.LIVE)), rows.filter("judged")
    return {
        "over_time": monitoring.over_time(every, metrics, of="arm"),
        **({} if live.is_empty() else {f"live_of_{POOLED_DAYS}_days": _summed(live)}),
        **({} if matured.is_empty() else {f"matured_of_{POOLED_DAYS}_days": _summed(matured)}),
    }


def _summed(rows: pl.DataFrame) -> dg.MetadataValue:
    """The latest days together: a line per slice, arm and version, figures as columns."""
    last: Any = rows["event_date"].max()
    latest = rows.filter((pl.col("event_date") > last - pl.duration(days=POOLED_DAYS)) & pl.col("value").is_not_null())
    index = ["slice", "arm", "model_version"]
    # Numbers of events and money add up over days; figures of other tasks do not, and are means.
    together = pl.col("value").sum() if set(business_table.LIVE) & set(rows["metric"]) else pl.col("value").mean()
    wide = latest.group_by([*index, "metric"]).agg(together.round(2)).pivot("metric", index=index, values="value")
    return markdown_table(wide.sort(index).to_arrow())
