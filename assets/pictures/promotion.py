"""The picture of an evaluation: how much better or worse, overall and in each slice, with what noise allows."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.metadata import picture

GOOD, BAD, UNJUDGED = "#2e7d32", "#c62828", "#9e9e9e"
MEASURES = ("common_ranking", "alone")


def differences(checks: Mapping[str, Mapping[str, Any]], objective: str) -> dg.MetadataValue | None:
    """Differences of the objective as points with their intervals; None if nothing was compared.

    For a slice only the upper bound exists: a line that ends left of zero is what refuses a candidate.
    """
    lines = list(_lines(checks))
    if not lines:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 0.26 * len(lines)))
    axes = figure.add_axes((0.34, 0.5 / figure.get_figheight(), 0.63, 1 - 0.6 / figure.get_figheight()))
    for place, (_, difference, low, high, passed) in enumerate(lines):
        color = GOOD if passed else BAD
        axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot([difference], [place], "o", color=color, markersize=4)
    axes.axvline(0, color=UNJUDGED, linewidth=0.8)
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel(f"difference of {objective.replace('_', ' ')}: to the right is better", fontsize=7)
    return picture(figure, "differences")


def _lines(checks: Mapping[str, Mapping[str, Any]]) -> Any:
    """Label, difference, lower and upper end, and whether the check passed."""
    for name, check in checks.items():
        passed = check["outcome"] == "passed"
        if "lower" in check:
            yield name.replace("_", " "), check["difference"], check["lower"], check["upper"], passed
        for measure in MEASURES:
            if f"{measure}_upper" in check:
                difference, upper = check[f"{measure}_difference"], check[f"{measure}_upper"]
                label = f"{name.removeprefix('slice:')} ({measure.replace('_', ' ')})"
                yield label, difference, difference, upper, passed or upper >= 0
