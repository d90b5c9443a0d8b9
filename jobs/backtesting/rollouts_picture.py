"""The picture of `jobs.backtesting.replay_rollouts`: what each promotion gained, by how the model was brought in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.state_files import replace_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#9db4c0", "#1b4965", "#386641")


def write(brought: pl.DataFrame, path: Path, title: str) -> None:
    """Write the picture, whole or not at all; none without a promotion."""
    if brought.is_empty():
        return
    drawn = BytesIO()
    picture(brought, title).savefig(drawn, format="png", dpi=120)
    replace_bytes(path, drawn.getvalue())


def picture(brought: pl.DataFrame, title: str) -> Figure:
    """For each promotion a bar of every strategy: money over what the former champion would have earned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots()
    strategies = brought["strategy"].unique(maintain_order=True).to_list()
    width = 0.8 / len(strategies)
    for number, (name, colour) in enumerate(zip(strategies, COLOURS, strict=False)):
        rows = brought.filter(pl.col("strategy") == name)
        gains = (rows["money"] - rows["money_of_former"]).to_numpy()
        axes.bar(np.arange(len(gains)) + number * width, gains, width, color=colour, label=name)
    promotions = brought.filter(pl.col("strategy") == strategies[0])
    names = [
        f"{day:%m-%d}\n{old} to {new}" for day, old, new in promotions["date", "instead_of", "version"].iter_rows()
    ]
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names, fontsize=7)
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set_ylabel("money over the former champion")
    axes.set_title(title, loc="left")
    axes.legend(fontsize=8)
    return figure
