"""Pictures and curves of a training, as PNG bytes and points: for MLflow's artifacts and the assets' pages alike."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jobs.arrays import Bools, Floats, ends_of_runs
from jobs.tasks.task import Labels, Scores, Task
from jobs.training.search_space import Space
from jobs.training.trials import Trial, parameter_importance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_POINTS = 200
_BINS = 10
_BLUE, _GREY, _RED = "#1565c0", "#9e9e9e", "#c62828"


def of_validation(task: Task, labels: Labels, scores: Mapping[str, Scores], winner: Scores) -> dict[str, bytes]:
    """What shows how good models of a task are, by name.

    Args:
        scores: of all contestants; `winner`: of the one that was chosen.
    """
    if task.name == "regression":
        return {"predictions": predictions(labels, winner)}
    if task.name == "multiclass":
        return {"calibration": calibration(winner.argmax(axis=1) == labels, winner.max(axis=1), "share that is right")}
    return {"precision_recall": precision_recall(labels, scores), "calibration": calibration(labels, winner)}


def curves(task: Task, labels: Labels, scores: Scores) -> dict[str, dict[int, float]]:
    """Precision by percent of recall, and recall by percent of the false-positive rate; of yes or no only."""
    if task.name != "binary":
        return {}
    precision, recall, fpr = _ranking(labels, scores)
    percent = range(1, 101)
    return {
        "curve/precision_by_recall_percent": {p: float(precision[np.searchsorted(recall, p / 100)]) for p in percent},
        "curve/recall_by_false_positive_percent": {
            p: float(recall[np.searchsorted(fpr, p / 100, side="right") - 1]) for p in percent
        },
    }


def precision_recall(labels: Bools, scores: Mapping[str, Floats]) -> bytes:
    """Precision against recall, one line for each of `scores`."""
    figure, (axes,) = _figure(1)
    for name, values in scores.items():
        precision, recall, _ = _ranking(labels, values)
        shown = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1, _POINTS)))
        axes.plot(recall[shown], precision[shown], label=name, linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=7)
    return _png(figure)


def predictions(labels: Floats, scores: Floats) -> bytes:
    """Labels against predictions: median, and the middle 80 %, in bins of equally many rows."""
    figure, (axes,) = _figure(1)
    parts = [part for part in np.array_split(np.argsort(scores, kind="stable"), _BINS) if len(part)]
    means = [scores[part].mean() for part in parts]
    low, middle, high = np.array([np.quantile(labels[part], (0.1, 0.5, 0.9)) for part in parts]).T
    ends = [min(*means, low.min()), max(*means, high.max())]
    axes.plot(ends, ends, color=_GREY, linewidth=0.8)
    axes.fill_between(means, low, high, color=_BLUE, alpha=0.2, linewidth=0)
    axes.plot(means, middle, "o-", color=_BLUE, markersize=3, linewidth=1)
    axes.set(xlabel="mean prediction", ylabel="label: median, 10 % and 90 %")
    return _png(figure)


def calibration(labels: Bools, scores: Floats, meaning: str = "share of positives") -> bytes:
    """Share of positives (or what else a score promises) against mean score, in bins of equally many rows."""
    figure, (axes,) = _figure(1)
    parts = np.array_split(np.argsort(scores, kind="stable"), _BINS)
    means = [scores[part].mean() for part in parts if len(part)]
    shares = [labels[part].mean() for part in parts if len(part)]
    top = max(*means, *shares, 1e-6) * 1.05
    axes.plot([0, top], [0, top], color=_GREY, linewidth=0.8)
    axes.plot(means, shares, "o-", color=_BLUE, markersize=3, linewidth=1)
    axes.set(xlabel="mean score", ylabel=meaning, xlim=(0, top), ylim=(0, top))
    return _png(figure)


def history(trials: Sequence[Trial], space: Space) -> bytes:
    """Optimisation history next to the parameters' importance."""
    figure, (left, right) = _figure(2)
    complete, pruned = (
        np.array([(t.number, t.value or 0.0) for t in trials if t.state == state]).reshape(-1, 2)
        for state in ("complete", "pruned")
    )
    left.plot(pruned[:, 0], pruned[:, 1], "x", color=_GREY, markersize=4, label="pruned")
    left.plot(complete[:, 0], complete[:, 1], "o", color=_BLUE, markersize=3, label="trial")
    best = np.maximum.accumulate(complete[:, 1])
    left.step(complete[:, 0], best, where="post", color=_RED, linewidth=1, label="best so far")
    left.set(xlabel="trial", ylabel="average precision")
    left.legend(fontsize=7)
    shares = parameter_importance(trials, space)
    right.barh(list(shares)[::-1], list(shares.values())[::-1], color=_BLUE)
    right.set(xlabel="importance (fANOVA)" if shares else "importance: too few complete trials")
    return _png(figure)


def _ranking(labels: Bools, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and false-positive rate at each distinct score, from the highest."""
    order = np.argsort(-scores, kind="stable")
    rows = ends_of_runs(scores[order])
    caught = np.cumsum(labels[order])[rows - 1]
    negatives = max(1, int((~labels).sum()))
    return caught / rows, caught / max(1, caught[-1]), (rows - caught) / negatives


def _figure(columns: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    width, height = 4.5 * columns, 2.8
    figure = Figure(figsize=(width, height))
    # Fixed margins: to lay out by measuring every label takes longer than to draw.
    inch = {"left": 0.7 / width, "right": 1 - 0.2 / width, "bottom": 0.5 / height, "top": 1 - 0.15 / height}
    figure.subplots_adjust(**inch, wspace=0.5)
    grid = list(figure.subplots(1, columns, squeeze=False)[0])
    for axes in grid:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    return figure, grid


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
