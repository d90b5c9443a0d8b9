"""The sensor that asks a decision server once a minute how it is, for alerts where there is no Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from assets.ingest import utc_now
from jobs.alerts import error_budgets
from jobs.secret import Url
from jobs.settings import Settings
from orchestration.ticks import in_one_line

SECONDS = 60
SILENT = "silent"
"""Cursor after a look at which the server did not answer."""


def build(settings: Settings, server: Url, now: Callable[[], datetime] = utc_now) -> dg.SensorDefinition:
    """The sensor of the server that the settings name."""

    @dg.sensor(
        name="decision_server",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when the decision server is silent or an error budget burns (docs/online/monitoring.md).",
    )
    @in_one_line
    def decision_server(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        looked = error_budgets.look(settings, server, now(), answered=context.cursor != SILENT)
        state = "all is well" if looked.answers else "the server does not answer"
        text = " ".join(alert.message for alert in looked.alerts) or state
        return dg.SensorResult(skip_reason=text, cursor="" if looked.answers else SILENT)

    return decision_server
