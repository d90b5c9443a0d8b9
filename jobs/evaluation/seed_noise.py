"""How far models of one family lie apart that differ in the seed alone: noise that resampled rows do not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jobs.errors import Invalid
from jobs.models.catalog import STEPS, new_model
from jobs.models.protocol import Examples
from jobs.registry.bundle import Bundle
from jobs.tasks.binary import BINARY
from jobs.tasks.task import NO_VALUES, Labels, RowValues, Scores, Task

SEED_TRAININGS = 5
DETERMINISTIC = ("logistic", "rule", "linear", "value")
SEEDED = {"boosted": SEED_TRAININGS, "tabular_mlp": 3}
"""Families that depend on a seed, and how many trainings are compared."""


def measure(
    family: str,
    parameters: Mapping[str, Any],
    train: Examples,
    judged: Examples,
    *,
    twins: int = SEED_TRAININGS,
    device: str = "cpu",
    values: RowValues = NO_VALUES,
) -> float:
    """Standard deviation of the objective on `judged` over trainings on `train` with the seeds 0, 1, ...

    Args:
        parameters: with the number of steps of the model in question, as nothing stops its twins early.

    Raises:
        ValueError: fewer than two twins, or rows of one class only.
    """
    scores = []
    for seed in range(1 if family in DETERMINISTIC else twins):
        model = new_model(family, parameters, train.names)
        model.fit(train, None, seed=seed, device=device)
        scores.append(model.predict(judged.features))
        if judged.task.classes:
            scores[-1] = judged.task.aligned(scores[-1], train.task.classes)
    return 0.0 if family in DETERMINISTIC else between_trainings(judged.labels, scores, judged.task, values)


def between_trainings(
    labels: Labels, scores: Sequence[Scores], task: Task = BINARY, values: RowValues = NO_VALUES
) -> float:
    """Sample standard deviation of the objective between trainings that differ in the seed alone.

    Args:
        labels: shape (rows,).
        scores: of each training, shape (rows,); at least two, five or more to be of use.

    Raises:
        ValueError: fewer than two trainings, or labels and scores that the objective refuses.
    """
    if len(scores) < 2:
        raise Invalid(f"training noise: expected scores of two trainings or more, found {len(scores)}; train again")
    return float(np.std([task.value(labels, each, values) for each in scores], ddof=1))


def recorded(declared: float | None, bundle: Bundle) -> float | None:
    """What the use case declares, or what the training of this bundle measured; None: not known."""
    if declared is not None:
        return declared
    if bundle.manifest.family in DETERMINISTIC:
        return 0.0
    noise = bundle.manifest.training.get("training_noise")
    return None if noise is None else float(noise)


def of_bundle(bundle: Bundle, train: Examples, judged: Examples, values: RowValues = NO_VALUES) -> float | None:
    """Noise of a bundle's own family, parameters and steps; None for a family that is not known here."""
    if bundle.manifest.family not in SEEDED:
        return None
    family, model = bundle.manifest.family, bundle.model()
    parameters = {**model.parameters, STEPS[family]: max(1, model.steps)}
    return measure(family, parameters, train, judged, twins=SEEDED[family], values=values)
