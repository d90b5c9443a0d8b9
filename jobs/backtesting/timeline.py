"""What a replay came to: `timeline.parquet`, a row per day, and `timeline.png`: decay, alarms, trainings, recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from jobs.state_files import replace_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jobs.backtesting.replay_log import Day

COLUMNS = (
    "date", "rows", "reports_known", "label_maturity", "drift_score", "drift_alarm", "retrained", "reason",
    "champion_version", "average_precision", "fits", "seconds",
)  # fmt: skip
QUALITY = "average_precision"
"""Column of each day's quality, unless another objective is declared."""
ACTED = ("blocked", "explored", "propensity")
"""Further columns of a replay that acts on its scores."""
SEARCH_DUE = "feature_search_due"
"""Further column of a replay in which a search for features was due on some evening."""
SMOOTHED = 7
"""Days of the running mean in the picture: a day has few positives."""
LARGEST_LINEAR_SCORE = 5.0
"""A drift score beyond which a linear axis would hide the line of alarm."""


def frame(days: Sequence[Day], values: Sequence[float], objective: str = QUALITY) -> pl.DataFrame:
    """One row per day, with the objective as a column of its name; a day without positives has no average precision."""
    table = pl.DataFrame([asdict(day) for day in days], infer_schema_length=None)
    daily = pl.Series(objective, values, dtype=pl.Float64).fill_nan(None)
    due = pl.Series(SEARCH_DUE, [day.due_search is not None for day in days])
    acted = ACTED if any(day.blocked or day.explored for day in days) else ()
    columns = (*COLUMNS, *acted, *((SEARCH_DUE,) if due.any() else ()))
    named = [objective if column == QUALITY else column for column in columns]
    return table.with_columns(pl.col("date").str.to_date(), daily, due).select(named)


def objective_of(timeline: pl.DataFrame) -> str:
    """Name of the column that holds each day's quality."""
    return next(
        column for column in timeline.columns if column not in {*COLUMNS, *ACTED, SEARCH_DUE} or column == QUALITY
    )


def write(timeline: pl.DataFrame, out: Path, title: str) -> None:
    """Write both files, each whole or not at all."""
    parquet(timeline, out / "timeline.parquet")
    drawn = BytesIO()
    picture(timeline, title).savefig(drawn, format="png", dpi=120)
    replace_bytes(out / "timeline.png", drawn.getvalue())


def parquet(table: pl.DataFrame, path: Path) -> None:
    """Write a table, whole or not at all."""
    written = BytesIO()
    table.write_parquet(written)
    replace_bytes(path, written.getvalue())


def picture(timeline: pl.DataFrame, title: str) -> Figure:
    """Quality of each day's decisions above; below, the scores of the drift tests; trainings and alarms across both."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    days = timeline["date"].to_list()
    objective = objective_of(timeline)
    precision = timeline[objective]
    above.plot(days, precision, ".", markersize=3, color="#9db4c0", label="a day")
    smooth = precision.rolling_mean(SMOOTHED, min_samples=1)
    above.plot(days, smooth, color="#1b4965", label=f"mean of {SMOOTHED} days")
    above.set_ylabel(objective.replace("_", " "))
    above.set_ylim(0, 1 if objective == QUALITY else None)
    above.set_title(title, loc="left")
    below.plot(days, timeline["drift_score"], color="#bc4749", drawstyle="steps-mid")
    below.axhline(1, color="#bc4749", linewidth=0.8, linestyle=":")
    below.set_ylabel("drift (1 alarms)")
    if (timeline["drift_score"].max() or 0) > LARGEST_LINEAR_SCORE:  # type: ignore[operator]
        below.set_yscale("symlog", linthresh=2)
        below.yaxis.set_major_formatter("{x:g}")
    below.set_ylim(bottom=0)
    for n, day in enumerate(_when(timeline, "retrained")):
        for axes in (above, below):
            axes.axvline(day, color="#386641", linewidth=0.8, label="training" if n == 0 and axes is above else None)
    if SEARCH_DUE in timeline.columns:
        above.axvline(_when(timeline, SEARCH_DUE)[0], color="#6a4c93", linestyle=":", label="feature search due")
    alarms = _when(timeline, "drift_alarm")
    if alarms:
        above.annotate(
            "first alarm", (alarms[0], 0.02), (6, 6), textcoords="offset points", color="#bc4749", fontsize=8
        )
        above.plot(alarms, [0.01] * len(alarms), "|", color="#bc4749", label="alarm")
    above.legend(loc="lower left", fontsize=8, ncols=4)
    return figure


def _when(timeline: pl.DataFrame, column: str) -> list[date]:
    days: list[date] = timeline.filter(pl.col(column))["date"].to_list()
    return days
