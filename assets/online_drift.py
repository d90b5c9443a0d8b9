"""Whether what the decision service decided in the last hours looks as at other days' times: an asset of every hour."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import markdown_table
from assets.pictures import monitoring
from jobs.alerts import online_drift as alerts
from jobs.checks import online_drift as checks
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.drift.online_hours import FeatureHour
    from jobs.drift.online_log import OnlineDrift

SHOWN_FEATURES = 6
"""Features in the picture: those that deviate most."""


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The drift of online decisions; none without a problem to solve."""
    return [] if use_case.learned is None else [_online_drift(use_case)]


def _online_drift(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_drift,
        deps=[keys.online_decisions],
        checks=[checks.HOURS_AS_USUAL],
        kinds={"numpy"},
        description="Features and scores of the decision service by the hour, against the same hours of days before.",
    )
    def online_drift(
        lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> dg.MaterializeResult[None]:
        from jobs.drift import online_log

        found = online_log.measure(lakehouse, use_case, now)
        alerts.settle(lakehouse.settings, use_case, found, now)
        if found is None:
            return dg.MaterializeResult(metadata={"notes": "no online decisions in the last weeks (`evergreen serve`)"})
        return dg.MaterializeResult(metadata=_shown(found), check_results=results([checks.as_usual(found)]))

    return online_drift


def _shown(found: OnlineDrift) -> dict[str, Any]:
    last = found.last
    rows = [
        {
            "feature": name, "score": each.score, "distance": each.distance, "limit": each.limit,
            "measure": each.measure, "decisions": each.rows,
        }
        for name, each in sorted(last.features.items(), key=lambda item: -item[1].score)
    ]  # fmt: skip
    return {
        **({"notes": f"the last hour was not judged: {last.note}"} if last.note else {}),
        "hour": dg.MetadataValue.timestamp(last.hour),
        "decisions": last.rows,
        "hours_judged": sum(bool(hour.features) for hour in found.hours),
        "named": ", ".join(found.named) or "none",
        "drift_score": max((each.score for each in last.features.values()), default=0.0),
        **({"model_version": found.model_version} if found.model_version is not None else {}),
        **_picture(found),
        **({"features": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
    }


def _picture(found: OnlineDrift) -> dict[str, Any]:
    """The features that deviate most, by the measure of their worst hour."""
    worst: dict[str, FeatureHour] = {}
    for hour in found.hours:
        for name, each in hour.features.items():
            worst[name] = max(worst.get(name, each), each, key=lambda one: one.score)
    shown = sorted(worst, key=lambda name: -worst[name].score)[:SHOWN_FEATURES]
    hours = [hour.hour for hour in found.hours]
    if not shown:
        return {}
    drawn = {f"{name} ({worst[name].measure})": _line(found, name, worst[name].measure) for name in shown}
    return {"by_hour": monitoring.drift_over_hours(hours, drawn)}


def _line(found: OnlineDrift, name: str, measure: str) -> tuple[list[float], list[float]]:
    """Distances and limits of a feature by hour, NaN where it was not judged."""
    nothing = (float("nan"), float("nan"))
    pairs = [hour.features[name].by_measure[measure] if name in hour.features else nothing for hour in found.hours]
    return [distance for distance, _ in pairs], [limit for _, limit in pairs]
