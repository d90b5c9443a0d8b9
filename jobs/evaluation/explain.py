"""Why a model scores as it does: what each feature added to the logit of each row. Pictures are made elsewhere.

Trees and linear models answer exactly and at once, by themselves; for anything else shap's permutation explainer asks
the graph that is served.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s, Floats, Ints, surest
from jobs.errors import EvergreenError
from jobs.models.features import FeatureRows, Features, concatenated, rows_of, value_shown, values_of
from jobs.models.runtime import score
from jobs.models.vectors import column_of, columns_of, lengths_of
from jobs.registry.bundle import Bundle
from jobs.tasks.task import Task

TOLERANCE = 1e-4
"""Of the probability that base and attributions add up to."""
_CERTAIN = 1e-7
"""Logits of scores are cut here: float32 has no value between this and certainty."""
_BACKGROUND_ROWS = 16
_EXPLAINED_ROWS = 100
"""At most so many where every row costs thousands of predictions."""


class NotAdditive(EvergreenError, RuntimeError):
    """Attributions do not add up to the score that is served; they explain something else."""


@runtime_checkable
class Explainable(Protocol):
    """A model that knows its own attributions."""

    def contributions(self, features: FeatureRows, background: FeatureRows) -> Floats:
        """SHAP values of the logit, float64 [n, f + 1], the last column being the base; of a multiclass task
        [n, classes, f + 1]."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each feature added to the logit of each row: `base + values.sum(axis=1)` is the logit of `scores`. A vector
    is one feature."""

    names: tuple[str, ...]
    features: FeatureRows
    """[n, f], the rows explained."""
    base: Floats
    """[n], the logit of the usual row (of a regression, its prediction)."""
    values: Floats
    """[n, f]"""
    scores: Float32s
    """[n], the output of the served graph; of a multiclass task the probability of the likeliest class, whose logit is
    explained."""
    method: str
    largest_difference: float | None = None
    """Between what all values add up to and the served score, where these values alone do not show it: of classes, and
    of numbers, as a share of the largest. None: of a probability."""

    @property
    def importance(self) -> Mapping[str, float]:
        """Mean absolute attribution of each feature, the largest first."""
        means = np.abs(self.values).mean(axis=0)
        return {self.names[i]: float(means[i]) for i in np.argsort(-means, kind="stable")}

    def reasons(self, row: int, most: int = 5) -> list[tuple[str, float | str, float]]:
        """Name, value and attribution of the features that moved a row the most."""
        order = np.argsort(-np.abs(self.values[row]), kind="stable")[:most]
        return [(self.names[i], value_shown(self.features, row, int(i)), float(self.values[row, i])) for i in order]


def attribute(bundle: Bundle, rows: FeatureRows, background: FeatureRows, seed: int = 0) -> Attribution:
    """Attributions of `rows` (the first 100 where they are not exact and cheap).

    Args:
        rows, background: real rows, [n, f] and [m, f], at least one each; `background` says what is usual.
        seed: of the permutations and of the background rows drawn.

    Raises:
        NotAdditive: they do not add up to the served score.
        BundleError: the bundle changed since it was verified.
    """
    model, runtime = bundle.model(), bundle.session()
    if isinstance(model, Explainable):
        attributions, method = model.contributions(rows, background), f"exact SHAP values of {bundle.manifest.family}"
    else:
        rows = rows[:_EXPLAINED_ROWS]
        drawn = np.random.default_rng(seed).choice(len(background), min(_BACKGROUND_ROWS, len(background)), False)
        link = _link(bundle.manifest.learned)
        attributions = _by_permutation(lambda x: link(score(runtime, x)), rows, background[drawn], seed)
        method = f"SHAP by permutation, {len(drawn)} background rows"
    served = score(runtime, rows)
    worst = _difference(bundle.manifest.learned, attributions, served)
    if not worst <= TOLERANCE:
        raise NotAdditive(
            f"attributions: expected base and values to add up to the served score within {TOLERANCE}, found a "
            f"difference of {worst}; do not show them, report the family"
        )
    if attributions.ndim == 3:
        attributions = attributions[np.arange(len(served)), served.argmax(axis=1)]
    names, shown = bundle.manifest.names, surest(served)
    told = None if bundle.manifest.learned.name == "binary" else worst
    columns = columns_of(names)
    if len(columns) < len(names):
        rows, attributions = _of_columns(names, rows, attributions)
    return Attribution(columns, rows, attributions[:, -1], attributions[:, :-1], shown, method, told)


def _of_columns(names: Sequence[str], rows: FeatureRows, attributions: Floats) -> tuple[FeatureRows, Floats]:
    """A vector as one feature: the sum of what its elements added, which keeps the total (Lundberg & Lee, NeurIPS 2017,
    property 1; Jullum, Redelmeier & Aas, arXiv 2106.12228, section 3), and as its value its Euclidean norm."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(column_of(name), []).append(place)
    lengths, values = lengths_of(names), values_of(rows)
    shown = (
        np.linalg.norm(values[:, own], axis=1) if column in lengths
        else rows.text(own[0]) if isinstance(rows, Features) and own[0] in rows.texts
        else values[:, own[0]]
        for column, own in places.items()
    )  # fmt: skip
    added = [attributions[:, own].sum(axis=1) for own in places.values()]
    return rows_of(shown, len(rows), len(places)), np.column_stack([*added, attributions[:, -1]])


def evenly(order: Ints, most: int) -> Ints:
    """At most `most` of some rows, spread evenly over their order, the first among them."""
    return order[:: max(1, math.ceil(len(order) / most))]


def _by_permutation(logit: object, rows: FeatureRows, background: FeatureRows, seed: int) -> Floats:
    import shap

    # Codes of one reading: what is permuted are columns, whatever they stand for.
    together = concatenated([rows, background])
    values, usual = np.split(values_of(together), [len(rows)])

    def narrow(x: npt.NDArray[np.float64]) -> Floats:
        mixed = np.ascontiguousarray(x, dtype=np.float32)
        logits: Floats = logit(replace(together, values=mixed) if isinstance(together, Features) else mixed)  # type: ignore[operator]
        return logits

    explainer = shap.PermutationExplainer(narrow, shap.maskers.Independent(usual, len(usual)), seed=seed)
    explanation = explainer(values, max_evals=2 * values.shape[1] + 1, silent=True)
    # Of several classes shap has them last.
    attributed = np.moveaxis(explanation.values, 1, -1)
    return np.concatenate([attributed, explanation.base_values[..., None]], axis=-1)


def _link(task: Task) -> Callable[[Float32s], Floats]:
    """From served scores to what attributions add up to."""
    if task.name == "regression":
        return lambda scores: scores.astype(np.float64)
    if task.classes:
        return lambda scores: np.log(np.clip(scores.astype(np.float64), _CERTAIN, 1.0))
    return _logit


def _logit(scores: Float32s) -> Floats:
    wide = np.clip(scores.astype(np.float64), _CERTAIN, 1 - _CERTAIN)
    logit: Floats = np.log(wide) - np.log1p(-wide)
    return logit


def _difference(task: Task, attributions: Floats, served: Float32s) -> float:
    """Largest difference of what attributions add up to from the served score; of predictions, as a share of the
    largest."""
    added = attributions.sum(axis=-1)
    if task.name == "regression":
        return float(np.abs(added - served).max() / max(float(np.abs(served).max()), 1e-300))
    if task.classes:
        powers = np.exp(added - added.max(axis=1, keepdims=True))
        return float(np.abs(powers / powers.sum(axis=1, keepdims=True) - served).max())
    return float(np.abs(1 / (1 + np.exp(-added)) - served).max())
