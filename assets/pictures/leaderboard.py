"""The picture of a leaderboard: the objective of every model with its interval, beside what a prediction costs."""

import dagster as dg

from assets.metadata import picture
from jobs.leaderboard.board_table import Board

COLORS = {"champion": "#2e7d32", "former champion": "#1565c0", "candidate": "#ef6c00"}
OTHERS, AHEAD = "#9e9e9e", "#c62828"
"""Of families and baselines, and of whoever is better than the champion beyond noise."""


def standings_picture(board: Board) -> dg.MetadataValue | None:
    """Left the objective, right microseconds a prediction, the best on top; None if nobody was measured."""
    measured = [each for each in board.standings if each.value is not None]
    if not measured:
        return None
    from matplotlib.figure import Figure

    height = 0.7 + 0.26 * len(measured)
    figure = Figure(figsize=(9, height))
    margins = (0.5 / height, 1 - 0.6 / height)
    left, right = (
        figure.add_axes((start, margins[0], width, margins[1])) for start, width in ((0.26, 0.45), (0.75, 0.23))
    )
    for place, each in enumerate(measured):
        color = AHEAD if each.better else COLORS.get(each.role, OTHERS)
        ends, value = [each.lower or 0.0, each.upper or 0.0], each.value or 0.0
        left.plot(ends, [place, place], color=color, linewidth=2, solid_capstyle="butt")
        left.plot([value], [place], "o", color=color, markersize=4)
        right.barh([place], [each.microseconds_per_row or 0], color=color, height=0.5)
    if board.champion is not None and board.champion.value is not None:
        left.axvline(board.champion.value, color=OTHERS, linewidth=0.8, linestyle="--")
    left.set_yticks(range(len(measured)), [f"{each.model} ({each.role})" for each in measured], fontsize=7)
    right.set_yticks([])
    for axes, label in ((left, board.about["words"]), (right, "microseconds a prediction")):
        axes.set_ylim(len(measured) - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_xlabel(label, fontsize=7)
    return picture(figure, "leaderboard")
