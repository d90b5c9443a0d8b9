"""Pictures of label maturity, performance over time, estimates and drift, for the pages of the monitoring assets."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.metadata import figure_and_axes, picture

if TYPE_CHECKING:
    from jobs.ground_truth.label_delay import Delay
    from jobs.ground_truth.label_maturity import Maturity

BLUE, GREEN, RED, GREY = "#1565c0", "#2e7d32", "#c62828", "#9e9e9e"
SHOWN_FEATURES = 20


def delay_and_maturity(
    delay: "Delay", declared_days: float, maturity: "Maturity", mature_share: float
) -> dg.MetadataValue:
    """Left: share of reports that are in, by age in days. Right: label maturity per day, and where it is judged."""
    days = np.array(maturity.days, dtype="datetime64[D]")
    figure, [left, right] = figure_and_axes(1, 2, 9, 2.2)
    left.step(delay.ages, delay.shares, where="post", color=BLUE)
    left.axvline(declared_days, color=GREY, linewidth=0.8, linestyle="--")
    left.set_ylim(0, 1)
    left.set_xlim(0, max(2 * declared_days, 1))
    left.set_title("share of reports in, by age in days (dashed: declared maturity)", fontsize=8)
    right.fill_between(days, maturity.share, step="mid", alpha=0.6, color=GREEN)
    right.axhline(mature_share, color=GREY, linewidth=0.8, linestyle="--")
    right.set_ylim(0, 1)
    right.set_title("label maturity of each day (dashed: judged from here on)", fontsize=8)
    right.set_xticks(days[:: max(1, len(days) // 4)])
    return picture(figure, "label maturity")


def over_time(rows: pl.DataFrame, metrics: Sequence[str], of: str = "model_version") -> dg.MetadataValue:
    """One panel per metric; a colour per model version, hollow where the truth is not in yet.

    Args:
        rows: event_date, the column `of`, metric, value, judged.
        of: what has a colour.
    """
    named = of.removeprefix("model_")
    figure, panels = figure_and_axes(len(metrics), 1, 8, 1.6 * len(metrics))
    for axes, metric in zip(panels, metrics, strict=True):
        mine = rows.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
        for n, version in enumerate(mine[of].unique(maintain_order=True).sort().to_list()):
            for judged in (True, False):
                these = mine.filter((pl.col(of) == version) & (pl.col("judged") == judged))
                axes.plot(
                    these["event_date"].to_numpy(), these["value"].to_numpy(), "o", markersize=3.5, color=f"C{n % 10}",
                    fillstyle="full" if judged else "none", label=f"{named} {version}" if judged else None,
                )  # fmt: skip
        axes.set_title(f"{metric.replace('_', ' ')} (hollow: provisional)", fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    if 0 < len(names) <= 10:
        panels[0].legend(handles, names, fontsize=6, loc="lower left")
    return picture(figure, "performance over time")


def expected_and_real(expected: pl.DataFrame, real: pl.DataFrame, title: str) -> dg.MetadataValue:
    """A band of two deviations around what was expected of each day, and what it turned out as.

    Args:
        expected: event_date, expected, deviation, trusted; one row per day.
        real: event_date, value, judged.
    """
    figure, [axes] = figure_and_axes(1, 1, 8, 2.4)
    days = expected["event_date"].to_numpy()
    middle, spread = expected["expected"].to_numpy(), 2 * expected["deviation"].to_numpy()
    axes.errorbar(days, middle, spread, fmt="_", color=BLUE, elinewidth=3, alpha=0.4, label="expected, two deviations")
    for judged, fill, name in ((True, "full", "real"), (False, "none", "so far")):
        these = real.filter((pl.col("judged") == judged) & pl.col("value").is_not_null())
        axes.plot(
            these["event_date"].to_numpy(), these["value"].to_numpy(), "o", color=GREEN, markersize=4, fillstyle=fill,
            label=name,
        )  # fmt: skip
    if not expected["trusted"].all():
        axes.set_facecolor("#fff3e0")
        title += " - not to be trusted"
    axes.legend(fontsize=6, loc="lower left")
    axes.set_title(title, fontsize=8)
    return picture(figure, "expected and real")


def drift_over_hours(
    hours: Sequence[datetime], features: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> dg.MetadataValue:
    """One panel per feature: its distances from what was expected, by hour, over the band that stable hours stay in.

    Args:
        features: distances and the band's limits by hour; NaN where none was judged.
    """
    figure, panels = figure_and_axes(len(features), 1, 9, 1.2 * len(features))
    times = np.array([hour.replace(tzinfo=None) for hour in hours], dtype="datetime64[h]")
    for axes, (name, (distances, limits)) in zip(panels, features.items(), strict=True):
        over = np.array(distances) >= np.array(limits)
        axes.fill_between(times, 0, limits, step="mid", alpha=0.25, color=GREEN)
        axes.scatter(times, distances, s=9, c=np.where(over, RED, BLUE))
        axes.set_ylim(bottom=0)
        axes.set_title(name, fontsize=8)
    return picture(figure, "drift by the hour")


def drift_over_days(scores: Mapping[date, Mapping[str, float]]) -> dg.MetadataValue:
    """Scores of the features that deviate most, by day, as a heat map: from 1 on a day is over the line."""
    import numpy as np
    from matplotlib.figure import Figure

    worst: dict[str, float] = {}
    for of_day in scores.values():
        for name, score in of_day.items():
            worst[name] = max(worst.get(name, 0.0), score)
    names = sorted(worst, key=lambda name: -worst[name])[:SHOWN_FEATURES]
    values = np.array([[of_day.get(name, np.nan) for of_day in scores.values()] for name in names])
    height = 1.0 + 0.2 * len(names)
    figure = Figure(figsize=(9, height))
    axes = figure.add_axes((0.3, 0.4 / height, 0.6, 1 - 0.7 / height))
    image = axes.imshow(values, aspect="auto", cmap="RdYlGn_r", vmin=0, vmax=2, interpolation="nearest")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    days = list(scores)
    ticks = range(0, len(days), max(1, len(days) // 8))
    axes.set_xticks(ticks, [f"{days[n]:%d %b}" for n in ticks], fontsize=7)
    bar = figure.add_axes((0.92, 0.4 / height, 0.02, 1 - 0.7 / height))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=6)
    axes.set_title("drift score by day: 1 is the line", fontsize=8)
    return picture(figure, "drift")
