"""What became of predictions, for people: label maturity, performance, its estimate, drift and skew, as assets.

They look and tell. What is done about it is the retraining policy's business, which gathers evidence of its own.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa

from assets import monitoring_pictures, times
from assets.features import key as feature_key
from assets.metadata import describe, markdown_table
from assets.scoring import champion_key
from assets.scoring import key as serving_key
from assets.transforms import mart_key
from jobs import inputs
from jobs.champions import Champions
from jobs.lakehouse import Lakehouse
from jobs.problem import Problem
from jobs.use_case import UseCase

NO_DRIFT, NO_SKEW = "no_drift", "no_training_serving_skew"
SHOWN_DAYS = 21
NOTHING_SCORED = "the nightly log holds no scores yet"
NO_CHAMPION = "no champion yet"


class Report(dg.Config):
    """What a person may ask for in the launchpad."""

    html: bool = False
    """Write the Evidently report even without an alarm."""


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The monitoring of a use case; none without a problem to solve."""
    problem = use_case.problem
    if problem is None:
        return []
    parts = (_label_maturity, _performance, _estimate, _drift, _skew)
    return [part(use_case, problem) for part in parts]


def key(use_case: UseCase, name: str) -> dg.AssetKey:
    return dg.AssetKey([use_case.name, "monitoring", name])


def _moment(context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase) -> datetime:
    return times.as_of(context, inputs.ensure(lakehouse.settings, use_case).end)


def _declared(use_case: UseCase, name: str, kinds: set[str], deps: Sequence[dg.AssetKey]) -> dict[str, Any]:
    """What all these assets have in common."""
    return {
        "key": key(use_case, name),
        "deps": list(deps),
        "group_name": "monitoring",
        "kinds": kinds,
        "owners": list(use_case.owners),
        "tags": {"use_case": use_case.name},
    }


def _label_maturity(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    @dg.asset(
        **_declared(use_case, "label_maturity", {"polars"}, [mart_key(use_case.events), mart_key(use_case.labels)]),
        description="How much of each day's truth is in, learned from how long reports took so far.",
    )
    def label_maturity(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs import maturity as job
        from jobs import outcomes

        as_of = _moment(context, lakehouse, use_case)
        known = outcomes.events(lakehouse, use_case, as_of)
        if not len(known):
            return dg.MaterializeResult(metadata={"notes": "no events yet"})
        found = job.maturity(known.times, known.labels.known_at, known.labels.positive, known.delay, as_of)
        delay, days = known.delay, np.array(found.days, dtype="datetime64[D]")
        mature = found.mature()
        rows = {
            "day": days.astype(str),
            "events": found.rows,
            "share of truth in": found.share.round(3),
            "positives known": found.positives,
            "still to come": [f"{n:.0f} ± {d:.0f}" for n, d in zip(found.to_come, found.deviation, strict=True)],
            "judged": mature,
        }
        return dg.MaterializeResult(
            metadata={
                "days_judged": int(mature.sum()),
                "judged_until": str(days[mature][-1]) if mature.any() else "none yet",
                "mature_after_days": round(delay.bound(job.MATURE), 1),
                "median_delay_days": round(delay.bound(0.5), 1),
                "reports_learned_from": delay.reports,
                "reports_heard_until": _instant(known.heard_until),
                "positives_to_come": float(found.to_come.sum()),
                "maturity": monitoring_pictures.delay_and_maturity(
                    delay.ages, delay.shares, use_case.label_maturity / timedelta(days=1), days, found.share, job.MATURE
                ),
                "days": markdown_table(pa.table(rows).slice(max(0, len(days) - SHOWN_DAYS))),
            }
        )

    return label_maturity


def _performance(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    @dg.asset(
        **_declared(
            use_case, "performance", {"delta"}, [serving_key(use_case, "batch_predictions"), mart_key(use_case.labels)]
        ),
        description="How good the decisions were, by day, model version and slice; provisional until the truth is in.",
    )
    def performance(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs import outcomes, performance_record

        as_of = _moment(context, lakehouse, use_case)
        found = outcomes.outcomes(lakehouse, use_case, problem, as_of, slices=problem.slices)
        if found is None:
            return dg.MaterializeResult(metadata={"notes": NOTHING_SCORED})
        recorded = performance_record.record(lakehouse, use_case, problem, found, as_of)
        notes = [*found.left_out, *([AHEAD] if recorded.ahead else [])]
        rows = performance_record.read(lakehouse, use_case, (as_of - timedelta(days=outcomes.DAYS)).date())
        rows = rows.filter(pl.col("event_date") <= as_of.date())
        every = rows.filter(pl.col("slice") == "all")
        judged = every.filter("judged")
        shown = ["average_precision", "auc_roc", f"precision_at_{problem.review.capacity}", "money_saved"]
        means = (
            judged.filter(pl.col("event_date") > judged["event_date"].max() - timedelta(days=7))
            if len(judged)
            else judged
        )
        return dg.MaterializeResult(
            metadata={
                **({"notes": "\n".join(notes)} if notes else {}),
                **describe(context, lakehouse, performance_record.table(use_case), (), performance_record.DESCRIPTIONS),
                "days_written": len(recorded.days),
                "days_judged": judged["event_date"].n_unique(),
                "days_provisional": every.filter(~pl.col("judged"))["event_date"].n_unique(),
                **{
                    f"last_week_{metric}": value
                    for metric, value in means.group_by("metric").agg(pl.col("value").mean()).sort("metric").rows()
                    if value is not None
                },
                "over_time": monitoring_pictures.over_time(every, shown),
                "days": _wide(every, SHOWN_DAYS),
                "slices": _slices(rows, problem),
            }
        )

    return performance


AHEAD = "the table knows a later moment than this run: it was left as it is"


def _wide(every: pl.DataFrame, days: int) -> dg.MetadataValue:
    """A line per day and version, metrics as columns."""
    index = ["event_date", "model_version", "rows", "positives", "label_maturity", "judged"]
    wide = every.pivot("metric", index=index, values="value").sort("event_date", "model_version")
    return markdown_table(wide.tail(days).to_arrow())


def _slices(rows: pl.DataFrame, problem: Problem) -> dg.MetadataValue:
    """Slices on judged days: means over days, weighted by rows."""
    judged = rows.filter(pl.col("judged") & pl.col("value").is_not_null())
    weighted = (pl.col("value") * pl.col("rows")).sum() / pl.col("rows").sum()
    means = judged.group_by("slice", "metric").agg(weighted.alias("value")).sort("slice", "metric")
    if means.is_empty():
        return dg.MetadataValue.md("no day is judged yet")
    return markdown_table(means.pivot("metric", index="slice", values="value").to_arrow())


def _estimate(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    @dg.asset(
        **_declared(use_case, "estimate", {"delta"}, [key(use_case, "performance"), champion_key(use_case)]),
        description="How good recent days will turn out to be, before their truth is in; beside it, what they did.",
    )
    def estimate(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> dg.MaterializeResult[None]:
        from jobs import estimate_record, outcomes, performance_record

        as_of = _moment(context, lakehouse, use_case)
        champion = champions.at(use_case, as_of)
        found = outcomes.outcomes(lakehouse, use_case, problem, as_of)
        if champion is None or found is None:
            return dg.MaterializeResult(metadata={"notes": NO_CHAMPION if champion is None else NOTHING_SCORED})
        told = estimate_record.expect(lakehouse, use_case, problem, champion, found, as_of)
        version = estimate_record.record(lakehouse, use_case, told.days, champion[0], as_of)
        if version is None:
            return dg.MaterializeResult(metadata={"notes": "nothing can be expected yet: no positive is known"})
        since = (as_of - timedelta(days=outcomes.DAYS)).date()
        kept = estimate_record.read(lakehouse, use_case, since).filter(pl.col("made_on") <= as_of.date())
        real = performance_record.read(lakehouse, use_case, since).filter(pl.col("slice") == "all")
        trusted = all(day.trusted for day in told.days)
        return dg.MaterializeResult(
            metadata={
                **({} if trusted else {"notes": _distrust(told)}),
                **describe(context, lakehouse, estimate_record.table(use_case), (), estimate_record.DESCRIPTIONS),
                "model_version": champion[0],
                "trusted": trusted,
                "calibrated_on_positives": told.calibration.positives,
                "concept_drift_score": told.concept.score,
                **_errors(kept, real),
                **_latest(told.days),
                **_estimate_pictures(kept, real),
            }
        )

    return estimate


def _distrust(told: Any) -> str:
    if told.concept.alarm:
        return "not to be trusted: what is positive has changed (concept drift)"
    return f"not to be trusted: calibrated on {told.calibration.positives} known positives"


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


def _first(kept: pl.DataFrame) -> pl.DataFrame:
    """What was expected of each day on its first evening."""
    return kept.sort("made_on").unique(["event_date", "metric"], keep="first").sort("event_date")


def _errors(kept: pl.DataFrame, real: pl.DataFrame) -> dict[str, Any]:
    """Mean absolute error of first estimates, of days whose truth has come in since."""
    truth = real.filter(pl.col("judged") & pl.col("value").is_not_null())
    both = _first(kept).join(
        truth.select("event_date", "model_version", "metric", "value"), on=["event_date", "model_version", "metric"]
    )
    errors = both.group_by("metric").agg((pl.col("expected") - pl.col("value")).abs().mean()).sort("metric")
    return {f"error_of_{metric}": error for metric, error in errors.rows()} | {
        "estimates_that_came_due": both["event_date"].n_unique()
    }


def _estimate_pictures(kept: pl.DataFrame, real: pl.DataFrame) -> dict[str, Any]:
    last = kept.sort("made_on").unique(["event_date", "metric"], keep="last").sort("event_date")
    return {
        metric: monitoring_pictures.expected_and_real(
            last.filter(pl.col("metric") == metric), real.filter(pl.col("metric") == metric), metric.replace("_", " ")
        )
        for metric in sorted(last["metric"].unique().to_list())
    }


def _drift(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    asset_key = key(use_case, "drift")

    @dg.asset(
        **_declared(
            use_case,
            "drift",
            {"polars", "evidently"},
            [
                serving_key(use_case, "batch_predictions"),
                feature_key(use_case, "history"),
                mart_key(use_case.labels),
                champion_key(use_case),
            ],
        ),
        check_specs=[
            dg.AssetCheckSpec(NO_DRIFT, asset=asset_key, description="Features, scores and labels are as they were.")
        ],
        description="Whether features, scores and labels are distributed as in the weeks before the champion came.",
    )
    def drift(
        context: dg.AssetExecutionContext,
        config: Report,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs import drift_report, logged_days, outcomes

        as_of = _moment(context, lakehouse, use_case)
        logged = logged_days.logged_days(lakehouse, use_case, as_of, outcomes.DAYS)
        if logged is None:
            yield from _nothing(NO_DRIFT, NOTHING_SCORED)
            return
        _, bundle = champions.version(use_case, logged.model_version)
        labels = _labels_drift(lakehouse, use_case, problem, as_of)
        found, note = None, ""
        try:
            found = drift_report.report(lakehouse, use_case, bundle, logged)
        except drift_report.TooFewDays as error:
            note = f"features and scores cannot be judged yet: {error}"
        concept = labels["concept"]
        alarms = [*(f"{name} drifted" for name in (found.named if found else ()))]
        alarms += ["what is positive changed (concept drift)"] if concept.alarm else []
        alarms += ["rows can be told from those before"] if found and found.alarm and not found.named else []
        yield dg.AssetCheckResult(
            check_name=NO_DRIFT,
            passed=not alarms,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(alarms) or note or "nothing is over the line",
        )
        html = _report_file(lakehouse, use_case, found) if found and (alarms or config.html) else {}
        yield dg.MaterializeResult(
            metadata={
                **({"notes": note} if note else {}),
                "model_version": logged.model_version,
                **(_drift_shown(found) if found else {}),
                "label_drift_score": labels["label"].score,
                "concept_drift_score": concept.score,
                "concept_drift_judged": concept.judged,
                **html,
            }
        )

    return drift


def _nothing(check: str, note: str) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Nothing to look at is no failure."""
    yield dg.AssetCheckResult(check_name=check, passed=True, severity=dg.AssetCheckSeverity.WARN, description=note)
    yield dg.MaterializeResult(metadata={"notes": note})


def _labels_drift(lakehouse: Lakehouse, use_case: UseCase, problem: Problem, as_of: datetime) -> dict[str, Any]:
    """Drift that labels show: of how many are positive among all events, and of which, among those decided."""
    from jobs import concept, outcomes

    found = outcomes.outcomes(lakehouse, use_case, problem, as_of)
    assert found is not None
    known, scored = found.known, found.scored
    return {
        "label": concept.label_drift(known.times, known.labels.known_at, known.labels.positive, known.delay, as_of),
        "concept": concept.concept_drift(
            scored.times, scored.scores, scored.known_at, scored.positive, known.delay, as_of
        ),
    }


def _drift_shown(found: Any) -> dict[str, Any]:
    last = found.last
    rows = [
        {
            "feature": name,
            "score": each.score,
            "window": f"{each.window} d",
            "PSI": each.stability_index,
            "Jensen-Shannon": each.jensen_shannon,
            "Kolmogorov-Smirnov": each.kolmogorov_smirnov,
        }
        for name, each in sorted(last.features.items(), key=lambda item: -item[1].score)
    ]
    told = found.two_sample
    return {
        "day": str(last.day),
        "drift_score": last.score,
        "votes": ", ".join(f"{days} d" for days in last.votes) or "none",
        "named": ", ".join(found.named) or "none",
        "reference": f"{found.reference[0]} to {found.reference[1]}",
        "prediction_drift_score": last.features["score"].score if "score" in last.features else 0.0,
        **({"two_sample_auc": told.auc, "two_sample_score": told.score} if told else {}),
        "by_day": monitoring_pictures.drift_over_days(
            {each.day: {name: one.score for name, one in each.features.items()} for each in found.judged}
        ),
        **({"features": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
    }


def _report_file(lakehouse: Lakehouse, use_case: UseCase, found: Any) -> dict[str, Any]:
    from jobs import evidently_report

    path = evidently_report.write(lakehouse.settings, use_case, found)
    return {"report": dg.MetadataValue.path(str(path)), "report_url": dg.MetadataValue.url(path.as_uri())}


def _skew(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    asset_key = key(use_case, "skew")

    @dg.asset(
        **_declared(
            use_case,
            "skew",
            {"feast"},
            [serving_key(use_case, "batch_predictions"), *(feature_key(use_case, w.name) for w in use_case.windows)],
        ),
        check_specs=[
            dg.AssetCheckSpec(NO_SKEW, asset=asset_key, description="Features were served as training would have them.")
        ],
        description="Features in the prediction log against offline values of the same moments, row by row.",
    )
    def skew(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs import logged_days, skew_check

        as_of = _moment(context, lakehouse, use_case)
        logged = logged_days.logged_days(lakehouse, use_case, as_of, skew_check.DAYS)
        if logged is None:
            yield from _nothing(NO_SKEW, f"nothing was scored in the last {skew_check.DAYS} days")
            return
        _, bundle = champions.version(use_case, logged.model_version)
        found = skew_check.check(lakehouse, use_case, problem, logged, bundle.manifest.names, as_of)
        differ = found.skew.features
        yield dg.AssetCheckResult(
            check_name=NO_SKEW,
            passed=not differ,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(_said(each, found) for each in differ) or f"{found.skew.rows} rows are the same",
        )
        rows = [
            {
                "feature": each.feature,
                "share of rows": found.share(each.rows),
                "median difference": each.size,
                "diagnosis": each.diagnosis or "unknown",
                "detail": each.detail,
            }
            for each in differ
        ]
        yield dg.MaterializeResult(
            metadata={
                "model_version": found.model_version,
                "days": ", ".join(map(str, found.days)),
                "rows_compared": found.skew.rows,
                "rows_unknown_offline": found.skew.unknown,
                "features_compared": len(found.features),
                "features_that_differ": len(differ),
                **({"differences": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
            }
        )

    return skew


def _said(each: Any, found: Any) -> str:
    return f"{each.feature}: {each.diagnosis or 'unexplained'} in {found.share(each.rows):.1%} of rows ({each.detail})"


def _instant(micros: int) -> str:
    return str(np.datetime64(micros, "us"))[:16] + " UTC"
