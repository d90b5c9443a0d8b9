"""Whether the world, or serving, has moved away from what the champion knows: drift and skew, as assets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.ground_truth import NOTHING_SCORED
from assets.keys import Keys
from assets.metadata import markdown_table
from assets.pictures import monitoring
from assets.run_context import moment
from jobs.checks.check import Outcome
from jobs.checks.monitoring import (
    LATEST_DAY_MEASURED,
    REPORT_OF_LATEST_DAY,
    latest_day_measured,
    report_of_latest_day,
)
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Problem
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.retraining import measurements
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.drift.report import DriftReport
    from jobs.drift.skew import FeatureSkew
    from jobs.drift.skew_check import Checked
    from jobs.ground_truth.drift_windows import DriftTest

NO_DRIFT, NO_SKEW = "no_drift", "no_training_serving_skew"
NAMED = 5
"""Features, at most, that the check names; the page lists all."""
SHOWN_DAYS = 28
"""Judged days in the picture."""


class DriftConfig(dg.Config):
    """What a person may ask for in the launchpad."""

    html: bool = False
    """Write the Evidently report even without an alarm."""


def build(settings: Settings, use_case: UseCase) -> list[dg.AssetsDefinition]:
    """Drift, its report on demand, and skew; nothing for a use case without a problem."""
    problem = use_case.learned
    if problem is None:
        return []
    # Of a definition, as `evergreen ui` serves reports where a port was free: events keep that of another day.
    latest = {"latest_report": dg.MetadataValue.url(f"{settings.reports}/{use_case.name}/latest.html")}
    return [_drift(use_case, problem, latest), _drift_report(use_case, latest), _skew(use_case, problem)]


def _drift(use_case: UseCase, problem: Problem, latest: Mapping[str, Any]) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.drift,
        deps=[
            keys.batch_predictions,
            keys.evidence,
            keys.labels,
            keys.champion,
        ],
        metadata=latest,
        checks=[LATEST_DAY_MEASURED],
        kinds={"polars", "evidently"},
        check_specs=[
            dg.AssetCheckSpec(NO_DRIFT, asset=keys.drift, description="Features, scores and labels are as they were.")
        ],
        description="Whether features, scores and labels are as in the weeks before the champion came: what the "
        "evidence of the night measured, by which the policy decides, and a classifier's opinion.",
    )
    def drift(
        context: dg.AssetExecutionContext,
        config: DriftConfig,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        as_of = moment(context, lakehouse, use_case)
        judged = _judged(lakehouse, use_case, problem, champions, as_of)
        if judged is None:
            yield from _nothing(NO_DRIFT, NOTHING_SCORED)
            return
        yield dg.AssetCheckResult(
            check_name=NO_DRIFT,
            passed=not judged.alarms,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(judged.alarms) or judged.note or "nothing is over the line",
        )
        draws = bool(judged.alarms) or config.html
        shown = _report_shown(lakehouse, use_case, judged.report, draws) if judged.report else {}
        yield dg.MaterializeResult(metadata={**judged.metadata, **shown}, check_results=results(judged.coverage(as_of)))

    return drift


@dataclass(frozen=True)
class _Judged:
    """What was found out about drift on one night."""

    model_version: int
    scored: tuple[date, ...]
    """Days that the model scored."""
    report: "DriftReport | None"
    """Features and scores; None if they cannot be judged."""
    label: "DriftTest"
    concept: "DriftTest | None"
    note: str = ""
    """Why features and scores cannot be judged."""

    @property
    def alarms(self) -> list[str]:
        """What drifted, in words."""
        report, concept = self.report, self.concept
        named = report.named if report else ()
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        alarms = [f"{', '.join(named[:NAMED])}{more} drifted"] if named else []
        alarms += ["what labels follow from changed (concept drift)"] if concept and concept.alarm else []
        return alarms + (["rows can be told from those before"] if report and report.alarm and not report.named else [])

    def coverage(self, as_of: datetime) -> list[Outcome]:
        """Whether the latest day was looked at; none where nothing can be."""
        return [latest_day_measured(self.scored, self.report.last.day, as_of)] if self.report else []

    @property
    def metadata(self) -> dict[str, Any]:
        """What the page of the asset shows."""
        concept = self.concept
        return {
            **({"notes": self.note} if self.note else {}),
            "model_version": self.model_version,
            **(_drift_shown(self.report) if self.report else {}),
            "label_drift_score": self.label.score,
            **({"concept_drift_score": concept.score, "concept_drift_judged": concept.judged} if concept else {}),
        }


def _judged(
    lakehouse: Lakehouse, use_case: UseCase, problem: Problem, champions: Champions, as_of: datetime
) -> _Judged | None:
    """Drift as of a night; None if nothing was scored yet."""
    from jobs.drift import report
    from jobs.ground_truth import outcomes
    from jobs.ground_truth.label_drift import label_drift
    from jobs.retraining import nightly_evidence
    from jobs.scoring import logged_days

    logged = logged_days.logged_days(lakehouse, use_case, as_of, outcomes.first_day(use_case, as_of))
    decided = outcomes.outcomes(lakehouse, use_case, problem, as_of)
    if logged is None or decided is None:
        return None
    bundle = _bundle(champions, use_case, logged.model_version, as_of)
    if came := nightly_evidence.prepare(lakehouse, use_case, champions, as_of):
        report.prepare(lakehouse, use_case, bundle, logged, came)
    measured = nightly_evidence.measurement(lakehouse, use_case, champions, as_of)
    days, drift_report = measured.judged(use_case.label_features, SHOWN_DAYS), None
    if days and measured.stable is not None:
        drift_report = report.report(lakehouse, use_case, bundle, logged, days, measured.stable.days)
    lacking = measured.unmeasured or "no day is counted yet"
    why = "" if drift_report else f"features and scores cannot be judged: {lacking}"
    label = label_drift(decided.known.labelled)
    return _Judged(logged.model_version, logged.days, drift_report, label, measured.concept, why)


def _drift_shown(drift_report: "DriftReport") -> dict[str, Any]:
    last = drift_report.last
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
    two_sample = drift_report.two_sample
    by_day = {each.day: {name: one.score for name, one in each.features.items()} for each in drift_report.judged}
    return {
        "day": str(last.day),
        "drift_score": last.score,
        "votes": ", ".join(f"{days} d" for days in last.votes) or "none",
        "named": ", ".join(drift_report.named) or "none",
        "reference": f"{drift_report.reference[0]} to {drift_report.reference[1]}",
        "prediction_drift_score": last.features["score"].score if "score" in last.features else 0.0,
        **({"two_sample_auc": two_sample.auc, "two_sample_score": two_sample.score} if two_sample else {}),
        **({"by_day": monitoring.drift_over_days(by_day)} if any(by_day.values()) else {}),
        **({"features": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
    }


def _report_shown(lakehouse: Lakehouse, use_case: UseCase, drift_report: "DriftReport", draws: bool) -> dict[str, Any]:
    """The way to Evidently's report of the day, and the report itself if it is drawn at once."""
    from jobs.drift import evidently_report

    sample = evidently_report.keep(lakehouse.settings, use_case, drift_report)
    drawn = _file(lakehouse.settings, use_case, evidently_report.draw(sample)) if draws else {}
    return {"report_of_the_day": dg.MetadataValue.asset(Keys(use_case).drift_report), **drawn}


def _file(settings: Settings, use_case: UseCase, path: Path) -> dict[str, Any]:
    """The report that was drawn, and its address on a server: browsers follow no link to a file."""
    url = f"{settings.reports}/{use_case.name}/{path.name}"
    return {"report_url": dg.MetadataValue.url(url), "report": dg.MetadataValue.path(str(path))}


def _drift_report(use_case: UseCase, latest: Mapping[str, Any]) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    # Not tagged with the use case, and so in no job: it takes seconds, which every night would pay for nobody.
    @asset(
        use_case,
        keys.drift_report,
        deps=[keys.drift],
        tags={},
        metadata=latest,
        checks=[REPORT_OF_LATEST_DAY],
        kinds={"evidently"},
        description="Evidently's report of the latest day, next to the weeks before it. No night draws it: materialize "
        "it to have the one of last night drawn, with or without an alarm. It is drawn once.",
    )
    def drift_report(lakehouse: dg.ResourceParam[Lakehouse]) -> dg.MaterializeResult[None]:
        from jobs.drift import evidently_report

        sample = evidently_report.latest(lakehouse.settings, use_case)
        if sample is None:
            return dg.MaterializeResult(metadata={"notes": "drift was measured on no day yet"})
        path = evidently_report.draw(sample)
        outcome = report_of_latest_day(path, measurements.recent_days(lakehouse.settings, use_case))
        return dg.MaterializeResult(
            metadata={**_file(lakehouse.settings, use_case, path), "day": path.stem, "size_bytes": path.stat().st_size},
            check_results=results([outcome]),
        )

    return drift_report


def _skew(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.skew,
        deps=[keys.batch_predictions, *keys.window_tables.values()],
        kinds={"feast"},
        check_specs=[
            dg.AssetCheckSpec(NO_SKEW, asset=keys.skew, description="Features were served as training would have them.")
        ],
        description="Features in the prediction log against offline values of the same moments, row by row.",
    )
    def skew(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs.drift import skew_check
        from jobs.scoring import logged_days

        as_of = moment(context, lakehouse, use_case)
        logged = logged_days.logged_days(lakehouse, use_case, as_of, skew_check.first_day(as_of))
        if logged is None:
            yield from _nothing(NO_SKEW, f"nothing was scored in the last {skew_check.DAYS} days")
            return
        bundle = _bundle(champions, use_case, logged.model_version, as_of)
        result = skew_check.check(lakehouse, use_case, logged, tuple(bundle.manifest.columns), as_of)
        differ = result.skew.features
        yield dg.AssetCheckResult(
            check_name=NO_SKEW,
            passed=not differ,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(_in_words(each, result) for each in differ)
            or f"{result.skew.rows} rows are the same",
        )
        yield dg.MaterializeResult(metadata=_skew_shown(result))

    return skew


def _skew_shown(checked: "Checked") -> dict[str, Any]:
    rows = [
        {
            "feature": each.feature,
            "share of rows": checked.share(each.rows),
            "median difference": each.size,
            "diagnosis": each.diagnosis or "unknown",
            "detail": each.detail,
        }
        for each in checked.skew.features
    ]
    return {
        "model_version": checked.model_version,
        "days": ", ".join(map(str, checked.days)),
        "rows_compared": checked.skew.rows,
        "rows_unknown_offline": checked.skew.unknown,
        "features_compared": len(checked.features),
        "features_that_differ": len(rows),
        **({"differences": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
    }


def _in_words(each: "FeatureSkew", checked: "Checked") -> str:
    return (
        f"{each.feature}: {each.diagnosis or 'unexplained'} in {checked.share(each.rows):.1%} of rows ({each.detail})"
    )


def _bundle(champions: Champions, use_case: UseCase, version: int, as_of: datetime) -> Bundle:
    """The bundle of a version; of the champion without asking the registry again."""
    current = champions.at(use_case, as_of)
    return current[1] if current is not None and current[0] == version else champions.version(use_case, version)[1]


def _nothing(check: str, note: str) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """The check and the page when there is nothing to look at, which is no failure."""
    yield dg.AssetCheckResult(check_name=check, passed=True, severity=dg.AssetCheckSeverity.WARN, description=note)
    yield dg.MaterializeResult(metadata={"notes": note})
