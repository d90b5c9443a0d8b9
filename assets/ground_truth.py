"""How good decisions turned out and will turn out: label maturity, performance and its estimate, as assets."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.event_tables import shown
from assets.keys import Keys
from assets.metadata import describe, markdown_table
from assets.pictures import monitoring
from assets.run_context import moment
from jobs.checks import monitoring as checks
from jobs.data_dictionary.tables import DataDictionary
from jobs.ground_truth import estimates_table, performance_table
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Problem
from jobs.registry.champion_bundles import Champions
from jobs.times import day_number, numbered_day
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.ground_truth.estimates_table import Expectation
    from jobs.ground_truth.label_maturity import Maturity
    from jobs.ground_truth.labelled_scores import LabelledEvents
    from jobs.ground_truth.performance import ScoredEvents

SHOWN_DAYS, POOLED_DAYS = 21, 14
NOTHING_SCORED = "the nightly log holds no scores yet"
NO_CHAMPION = "no champion yet"
AHEAD = "the table knows a later moment than this run: it was left as it is"


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Label maturity, performance and its estimate; nothing for a use case without a problem."""
    problem = use_case.learned
    if problem is None:
        return []
    return [_label_maturity(use_case), _performance(use_case, problem), _estimate(use_case, problem)]


def _label_maturity(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.label_maturity,
        deps=[keys.events, keys.labels],
        checks=[checks.REPORTS_IN_TIME],
        kinds={"polars"},
        description="How much of each day's truth is in, learned from how long reports took so far.",
    )
    def label_maturity(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.ground_truth import label_maturity as job
        from jobs.ground_truth import outcomes

        as_of = moment(context, lakehouse, use_case)
        recent = outcomes.events(lakehouse, use_case, as_of)
        if not len(recent):
            return dg.MaterializeResult(metadata={"notes": "no events yet"})
        maturity = job.maturity(recent.labelled)
        return dg.MaterializeResult(
            metadata=_maturity_shown(use_case, recent.labelled, maturity, job.MATURE),
            check_results=results([checks.reports_in_time(use_case, recent.labelled)]),
        )

    return label_maturity


def _maturity_shown(
    use_case: UseCase, labelled: "LabelledEvents", maturity: "Maturity", mature_share: float
) -> dict[str, Any]:
    delay, days = labelled.delay, np.array(maturity.days, dtype="datetime64[D]")
    mature = maturity.mature()
    rows = {
        "day": days.astype(str),
        "events": maturity.rows,
        "share of truth in": maturity.share.round(3),
        "positives known": maturity.positives,
        "still to come": [f"{n:.0f} ± {d:.0f}" for n, d in zip(maturity.to_come, maturity.deviation, strict=True)],
        "judged": mature,
    }
    declared_days = use_case.label_maturity / timedelta(days=1)
    return {
        "days_judged": int(mature.sum()),
        "judged_until": str(days[mature][-1]) if mature.any() else "none yet",
        "mature_after_days": round(delay.bound(mature_share), 1),
        "median_delay_days": round(delay.bound(0.5), 1),
        "reports_learned_from": delay.reports,
        "reports_heard_until": _instant(labelled.reported_until),
        "positives_to_come": float(maturity.to_come.sum()),
        "maturity": monitoring.delay_and_maturity(delay, declared_days, maturity, mature_share),
        "days": markdown_table(pa.table(rows).slice(max(0, len(days) - SHOWN_DAYS))),
    }


def _performance(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys, dictionary = Keys(use_case), DataDictionary(use_case, performance_table.DESCRIPTIONS)
    table = performance_table.of(use_case, problem)

    @asset(
        use_case,
        keys.performance,
        deps=[keys.batch_predictions, keys.labels],
        checks=[checks.SCORED_DAYS_MEASURED],
        kinds={"delta"},
        description="How good the decisions were, by day, model version and slice; provisional until the truth is in.",
        metadata=shown(performance_table.SCHEMA, dictionary),
    )
    def performance(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.ground_truth import outcomes

        as_of = moment(context, lakehouse, use_case)
        result = outcomes.outcomes(lakehouse, use_case, problem, as_of, slices=problem.slices)
        if result is None:
            return dg.MaterializeResult(metadata={"notes": NOTHING_SCORED})
        recorded = table.record(lakehouse, problem, result.scored)
        notes = [*result.left_out, *([AHEAD] if recorded.ahead else [])]
        rows = table.read(lakehouse, outcomes.first_day(use_case, as_of))
        every = rows.filter((pl.col("event_date") <= as_of.date()) & (pl.col("slice") == "all"))
        scored_days = [numbered_day(day) for day in np.unique(result.scored.days)]
        return dg.MaterializeResult(
            check_results=results([checks.scored_days_measured(scored_days, every)]),
            metadata={
                **({"notes": "\n".join(notes)} if notes else {}),
                **describe(context, lakehouse, table.name, dictionary),
                "days_written": len(recorded.days),
                **_performance_shown(result.scored, problem, every),
            },
        )

    return performance


def _performance_shown(scored: "ScoredEvents", problem: Problem, every: pl.DataFrame) -> dict[str, Any]:
    judged = every.filter("judged")
    metrics = _shown_metrics(problem)
    pooled = _pooled(scored, problem, judged)
    return {
        "days_judged": judged["event_date"].n_unique(),
        "days_provisional": every.filter(~pl.col("judged"))["event_date"].n_unique(),
        **(_numbers(pooled[-1].metrics) if pooled else {}),
        "over_time": monitoring.over_time(every, metrics),
        "days": _wide(every, SHOWN_DAYS),
        **({f"slices_of_{POOLED_DAYS}_days": _slices(pooled)} if pooled else {}),
    }


def _shown_metrics(problem: Problem) -> list[str]:
    """Metrics that are drawn over time."""
    own = problem.measured_by.name
    if problem.review is not None:
        of_review = [f"precision_at_{problem.capacity}", *(["money_saved"] if problem.amount else [])]
        return list(dict.fromkeys([own, "average_precision", "auc_roc", *of_review]))
    others = {
        "binary": ["average_precision", "auc_roc"],
        "multiclass": ["log_loss", "accuracy"],
        "regression": ["mean_absolute_error", "bias", "interval_coverage"],
    }
    return list(dict.fromkeys([own, *others[problem.task]]))


def _wide(every: pl.DataFrame, days: int) -> dg.MetadataValue:
    """A line per day and version, metrics as columns."""
    index = ["event_date", "model_version", "rows", "positives", "label_maturity", "judged"]
    wide = every.pivot("metric", index=index, values="value").sort("event_date", "model_version")
    return markdown_table(wide.tail(days).to_arrow())


def _pooled(scored: "ScoredEvents", problem: Problem, judged: pl.DataFrame) -> list[Any]:
    """Performance on the latest judged days together, which is steadier than means of daily rankings; all rows last."""
    from jobs.ground_truth.performance import EVERYTHING, performance

    if judged.is_empty():
        return []
    last = day_number(judged["event_date"].to_list()[-1])
    measured = performance(scored, problem.review, POOLED_DAYS, only={last})
    return sorted(measured, key=lambda each: (each.slice == EVERYTHING, each.slice, each.version))


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """As Dagster plots them from run to run."""
    return {f"{name}_of_{POOLED_DAYS}_days": value for name, value in metrics.items() if value is not None}


def _slices(pooled: Sequence[Any]) -> dg.MetadataValue:
    rows = [
        {"slice": each.slice, "version": each.version, "rows": each.rows, "positives": each.positives, **each.metrics}
        for each in reversed(pooled)
    ]
    return markdown_table(pa.Table.from_pylist(rows))


def _estimate(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys, dictionary = Keys(use_case), DataDictionary(use_case, estimates_table.DESCRIPTIONS)

    @asset(
        use_case,
        keys.estimate,
        deps=[keys.performance, keys.evidence, keys.champion],
        checks=[checks.ESTIMATES_HOLD],
        kinds={"delta"},
        description="Expected performance of recent days before their truth is in, and how far estimates were off.",
        metadata=shown(estimates_table.SCHEMA, dictionary),
    )
    def estimate(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> dg.MaterializeResult[None]:
        from jobs.ground_truth import outcomes
        from jobs.ground_truth.concept_drift import NOT_JUDGED
        from jobs.retraining import nightly_evidence

        as_of = moment(context, lakehouse, use_case)
        champion = champions.at(use_case, as_of)
        result = outcomes.outcomes(lakehouse, use_case, problem, as_of)
        if champion is None or result is None:
            return dg.MaterializeResult(metadata={"notes": NO_CHAMPION if champion is None else NOTHING_SCORED})
        concept = nightly_evidence.measurement(lakehouse, use_case, champions, as_of).concept or NOT_JUDGED
        expected = estimates_table.expect(lakehouse, use_case, problem, champion, result, concept)
        version = estimates_table.record(lakehouse, use_case, expected.days, champion[0], as_of)
        if version is None:
            return dg.MaterializeResult(metadata={"notes": "nothing can be expected yet: too little is known"})
        since = outcomes.first_day(use_case, as_of)
        estimates = estimates_table.read(lakehouse, use_case, since).filter(pl.col("made_on") <= as_of.date())
        real = performance_table.of(use_case, problem).read(lakehouse, since).filter(pl.col("slice") == "all")
        due = _came_due(estimates, real)
        return dg.MaterializeResult(
            check_results=results([checks.estimates_hold(due)]),
            metadata={
                **describe(context, lakehouse, estimates_table.table(use_case), dictionary),
                "model_version": champion[0],
                **_expected_shown(expected),
                **_errors(due),
                **_latest(expected.days),
                **_estimate_pictures(estimates, real),
            },
        )

    return estimate


def _expected_shown(expected: "Expectation") -> dict[str, Any]:
    trusted = all(day.trusted for day in expected.days)
    return {
        **({} if trusted else {"notes": _distrust(expected)}),
        "trusted": trusted,
        **_calibrated_on(expected),
        "concept_drift_score": expected.concept.score,
        "calibration_drift_score": expected.calibration_drift.score,
    }


def _calibrated_on(expected: "Expectation") -> dict[str, int]:
    from jobs.ground_truth.loss_estimate import LossCalibration

    known = expected.calibration
    if isinstance(known, LossCalibration):
        return {"calibrated_on_labels": known.labels}
    return {"calibrated_on_positives": known.positives}


def _distrust(expected: "Expectation") -> str:
    if expected.concept.alarm:
        return "not to be trusted: what labels follow from has changed (concept drift)"
    if expected.calibration_drift.alarm:
        return "not to be trusted: scores mean another chance than they did, or reports come later (calibration drift)"
    [(what, number)] = _calibrated_on(expected).items()
    return f"not to be trusted: calibrated on {number} known {what.removeprefix('calibrated_on_')}"


def _latest(days: Sequence[Any]) -> dict[str, Any]:
    rows = [
        {
            "day": str(np.datetime64(day.day, "D")),
            "positives known": day.positives,
            "expected in all": day.expected_positives,
            **{name: f"{value.mean:.3f} ± {value.deviation:.3f}" for name, value in day.metrics.items()},
        }
        for day in days
    ]
    return {"days": markdown_table(pa.Table.from_pylist(rows))} if rows else {}


def _first(estimates: pl.DataFrame) -> pl.DataFrame:
    """What was expected of each day on its first evening."""
    return estimates.sort("made_on").unique(["event_date", "metric"], keep="first").sort("event_date")


def _came_due(estimates: pl.DataFrame, real: pl.DataFrame) -> pl.DataFrame:
    """First estimates of days whose truth has come in since, with the real `value`."""
    truth = real.filter(pl.col("judged") & pl.col("value").is_not_null())
    return _first(estimates).join(
        truth.select("event_date", "model_version", "metric", "value"), on=["event_date", "model_version", "metric"]
    )


def _errors(due: pl.DataFrame) -> dict[str, Any]:
    """Mean absolute error of estimates that came due."""
    errors = due.group_by("metric").agg((pl.col("expected") - pl.col("value")).abs().mean()).sort("metric")
    return {f"error_of_{metric}": error for metric, error in errors.rows()} | {
        "estimates_that_came_due": due["event_date"].n_unique()
    }


def _estimate_pictures(estimates: pl.DataFrame, real: pl.DataFrame) -> dict[str, Any]:
    last = estimates.sort("made_on").unique(["event_date", "metric"], keep="last").sort("event_date")
    return {
        metric: monitoring.expected_and_real(
            last.filter(pl.col("metric") == metric), real.filter(pl.col("metric") == metric), metric.replace("_", " ")
        )
        for metric in sorted(last["metric"].unique().to_list())
    }


def _instant(micros: int) -> str:
    return str(np.datetime64(micros, "us"))[:16] + " UTC"
