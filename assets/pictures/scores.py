"""Pictures of scores, features and groups, for the pages of the serving and explanation assets."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.metadata import figure_and_axes, picture


def scores(values: Any) -> dg.MetadataValue:
    """Scores as a histogram; counts on a logarithmic scale, because nearly all scores are low."""
    import numpy as np

    figure, [axes] = figure_and_axes(1, 1, 6, 2.0)
    counts, edges = np.histogram(values, bins=50, range=(0, 1))
    axes.stairs(counts, edges, fill=True, color="#1565c0")
    axes.set_yscale("symlog")
    axes.set_xlim(0, 1)
    axes.set_title("scores of the last day", fontsize=8)
    return picture(figure)


def bars(values: Mapping[str, float], title: str) -> dg.MetadataValue:
    """Named values as horizontal bars, the first on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 0.22 * len(values)), layout="constrained")
    axes = figure.subplots()
    names = list(values)[::-1]
    axes.barh(names, [values[name] for name in names], color="#1565c0")
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=8)
    return picture(figure)


def groups(values: Mapping[str, Mapping[str, float]], rates: Sequence[str]) -> dg.MetadataValue:
    """Rates of groups side by side, one panel per rate; a rate that is no number has no bar."""
    figure, panels = figure_and_axes(1, len(rates), 9, 1.2 + 0.18 * len(values))
    names = list(values)[::-1]
    figure.subplots_adjust(left=0.16)
    for position, (axes, rate) in enumerate(zip(panels, rates, strict=True)):
        # By position: a name whose value is no number would lose its line.
        axes.barh(range(len(names)), [values[name][rate] for name in names], color="#2e7d32")
        axes.set_ylim(-0.5, len(names) - 0.5)
        axes.set_yticks([] if position else range(len(names)), [] if position else names)
        axes.set_title(rate.replace("_", " "), fontsize=8)
        axes.locator_params(axis="x", nbins=3)
    return picture(figure)
