"""Which family and parameters a backtest trains: as declared, or found on the latest of the rows that were known.

The one place where a backtest tunes; what is tuned and how a model is fitted stays with the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.datasets.training_rows import sampled
from jobs.errors import Invalid
from jobs.models.catalog import STEPS, new_model
from jobs.models.protocol import Examples, weights_of
from jobs.problem import Family, Range
from jobs.tasks.task import RowValues
from jobs.times import MICROSECONDS_A_DAY

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, eq=False)
class FoldWindow:
    """Where the known rows are cut: the latest `validation` of them choose among what learned from the others."""

    times: npt.NDArray[np.int64]
    """Of the known rows, ascending, in microseconds."""
    validation: timedelta
    delay: timedelta
    """Rows younger than this when the window begins are not trained on: their labels were not known yet."""


def searched(
    families: Sequence[Family], examples: Examples, window: FoldWindow, trials: int, seed: int
) -> tuple[Family, Mapping[str, Any]]:
    """The family and parameters of the best objective on the latest of the known rows.

    One family without trials is taken as declared.

    Raises:
        ValueError: too few days are known for a validation window with evidence, such as positives, on both sides.
    """
    if len(families) == 1 and trials == 0:
        return families[0], families[0].fixed
    train, valid, values = _parts(examples, window)
    candidates = [(family, *_best(family, train, (valid, values), trials, seed)) for family in families]
    family, parameters, _ = max(candidates, key=lambda entry: entry[2])
    return family, parameters


def _parts(examples: Examples, window: FoldWindow) -> tuple[Examples, Examples, RowValues]:
    microsecond = timedelta(microseconds=1)
    start = int(window.times[-1]) - window.validation // microsecond
    train = examples.rows(window.times <= start - window.delay // microsecond)
    is_valid = window.times > start
    valid = examples.rows(is_valid)
    evidence = [int(examples.task.informative(part.labels).sum()) for part in (valid, train)]
    if not all(evidence):
        raise Invalid(
            f"comparing families or parameters needs {examples.task.evidence} among the last {window.validation.days} "
            f"known days and before them; found {evidence[0]} and {evidence[1]}; begin later, or name one family"
        )
    days = window.times[is_valid] // MICROSECONDS_A_DAY
    return train, valid, RowValues(days=days, weights=weights_of(valid))


def _best(
    family: Family, train: Examples, validation: tuple[Examples, RowValues], trials: int, seed: int
) -> tuple[Mapping[str, Any], float]:
    """Parameters, the number of steps among them, and their objective, on a scale where more is better."""
    drawn, (valid, values) = sampled(train, family.negative_rate, seed), validation

    def tried(parameters: Mapping[str, Any]) -> tuple[Mapping[str, Any], float]:
        model = new_model(family.name, {**family.fixed, **parameters}, train.names)
        model.fit(drawn, valid, seed=seed, device="cpu")
        steps = {STEPS[family.name]: max(1, model.steps)} if family.name in STEPS else {}
        value = valid.task.value(valid.labels, model.predict(valid.features), values)
        return {**family.fixed, **parameters, **steps}, valid.task.gain(value)

    if trials == 0 or not family.search:
        return tried({})
    return _tuned(family, tried, trials, seed)


def _tuned(family: Family, tried: Any, trials: int, seed: int) -> tuple[Mapping[str, Any], float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results: list[tuple[Mapping[str, Any], float]] = []

    def objective(trial: optuna.Trial) -> float:
        results.append(tried({name: _suggested(trial, name, space) for name, space in family.search.items()}))
        return results[-1][1]

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return max(results, key=lambda result: result[1])


def _suggested(trial: optuna.Trial, name: str, space: Range | tuple[Any, ...]) -> Any:
    if isinstance(space, tuple):
        return trial.suggest_categorical(name, space)
    if space.integer:
        step = int(space.step or 1)
        return trial.suggest_int(name, int(space.low), int(space.high), log=space.log, step=step)
    return trial.suggest_float(name, space.low, space.high, log=space.log, step=space.step)
