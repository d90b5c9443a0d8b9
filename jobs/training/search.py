"""One search for good parameters: sampling, pruning and parallel trials, by Optuna.

How trials are stored: see `jobs.training.trials`. What is tuned on which rows is not known here. A search repeats to
the last digit, on any machine and however often it was killed: trial k is drawn from the trials before k - `ahead` and
nothing else, whichever of the later ones have ended by then, and only ended trials are stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.errors import EvergreenError
from jobs.models.protocol import StepReport
from jobs.problem import Pruner, Sampler
from jobs.secret import Url
from jobs.state_files import file_lock
from jobs.training.search_space import Distributions, Space, distributions, grid
from jobs.training.trials import Trial, number_of, quiet, storage, trial_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as RunningTrial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

Objective = Callable[[Mapping[str, Any], StepReport], Mapping[str, float]]
"""Parameters and a report of steps in; `value` (to be maximised) and other numbers out. The report may raise."""

_RANDOM_TRIALS = 10
"""Trials before TPE models anything, and before the median of earlier ones prunes: Optuna's default and twice it."""
_EARLY_STEPS, _STEP = 10, 10
"""Steps reported to the pruner: the first ones (epochs are few) and then each tenth (boosting rounds are many)."""


@dataclass(frozen=True)
class Search:
    """What is searched, and how."""

    name: str
    """Of the study in its storage; the same name goes on with the same trials."""
    space: Space
    trials: int
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    seed: int = 0
    workers: int = 2

    @property
    def ahead(self) -> int:
        """Trials drawn before an earlier one has ended: enough that no worker waits for a slow trial."""
        return 4 * self.workers


class TuningFailed(EvergreenError, RuntimeError):
    """No trial of a search succeeded."""


def run(
    search: Search,
    objective: Objective,
    folder: Path,
    url: Url | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """All trials of `search`, by number: those stored already, and the missing ones, run now.

    Args:
        folder: where journal files and locks lie.
        url: SQLAlchemy URL of the database that keeps the studies, instead of a journal file.
        progress: called with how many trials have ended, of how many.

    Raises:
        TuningFailed: no trial succeeded.
    """
    with quiet(), file_lock(folder / f"{search.name}.lock"):
        stored = _create(search, storage(search.name, folder, url))
        ended = {number_of(frozen): frozen for frozen in stored.get_trials()}
        space = distributions(search.space)
        points = grid(space, search.seed) if search.sampler == "grid" else []
        total = min(search.trials, len(points)) if points else search.trials
        for frozen in _run(search, objective, space, points[:total], ended):
            stored.add_trial(frozen)
            ended[number_of(frozen)] = frozen
            if progress is not None:
                progress(len(ended), total)
    trials = [trial_of(ended[number]) for number in sorted(ended)]
    if not any(trial.state == "complete" for trial in trials):
        raise TuningFailed(
            f"{search.name}: expected at least one of {len(trials)} trials to succeed, found none; "
            f"the last failed with: {trials[-1].error if trials else 'no trials asked for'}"
        )
    return trials


def _run(
    search: Search,
    objective: Objective,
    space: Distributions,
    points: Sequence[dict[str, Any]],
    ended: dict[int, FrozenTrial],
) -> Iterator[FrozenTrial]:
    """Missing trials as they end: of `points`, or drawn. The caller adds each to `ended` before it takes another."""
    drawn: dict[int, dict[str, Any]] = {number: frozen.params for number, frozen in ended.items()}
    running: dict[int, Future[FrozenTrial]] = {}
    with ThreadPoolExecutor(search.workers, thread_name_prefix="trial") as pool:
        for number in range(len(points) or search.trials):
            while any(earlier in running for earlier in range(number - search.ahead + 1)):
                yield from _ended(running)
            if number in ended:
                continue
            history = [ended[earlier] for earlier in range(number - search.ahead + 1)]
            ahead = [drawn[earlier] for earlier in range(max(0, number - search.ahead + 1), number)]
            drawn[number] = points[number] if points else _draw(search, space, number, history, ahead)
            view = _view(search, number, history)
            running[number] = pool.submit(_one, view, objective, drawn[number], space, number)
        while running:
            yield from _ended(running)


def _ended(running: dict[int, Future[FrozenTrial]]) -> Iterator[FrozenTrial]:
    from concurrent.futures import FIRST_COMPLETED, wait

    wait(running.values(), return_when=FIRST_COMPLETED)
    for number in [number for number, future in running.items() if future.done()]:
        yield running.pop(number).result()


def _draw(
    search: Search,
    space: Distributions,
    number: int,
    history: Sequence[FrozenTrial],
    ahead: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Parameters of trial `number`, from the trials that count as ended and those that count as running."""
    from optuna.trial import TrialState, create_trial

    study = _view(search, number, history)
    for parameters in ahead:
        state = TrialState.RUNNING
        study.add_trial(create_trial(state=state, params=dict(parameters), distributions=dict(space)))
    return dict(study.ask(dict(space)).params)


def _view(search: Search, number: int, history: Sequence[FrozenTrial]) -> Study:
    """A study in memory that knows `history` alone: what one trial is drawn from, and pruned by."""
    import optuna

    study = optuna.create_study(
        study_name=search.name, direction="maximize", sampler=_sampler(search, number), pruner=_pruner(search)
    )
    study.add_trials(history)
    return study


def _one(
    view: Study, objective: Objective, parameters: dict[str, Any], space: Distributions, number: int
) -> FrozenTrial:
    """Run one trial to its end; an error of the objective fails this trial only."""
    from optuna.trial import create_trial

    view.enqueue_trial(parameters)
    trial = view.ask(dict(space))
    began, curve = time.perf_counter(), dict[int, float]()
    state, value, numbers, error = _ending(objective, parameters, _reporter(trial, curve), curve)
    numbers["seconds"] = time.perf_counter() - began
    return create_trial(
        state=state,
        value=value,
        params=parameters,
        distributions=dict(space),
        user_attrs={"number": number, "numbers": numbers, "error": error},
        system_attrs=view.get_trials(deepcopy=False)[trial.number].system_attrs,
        intermediate_values=curve,
    )


def _reporter(trial: RunningTrial, curve: dict[int, float]) -> StepReport:
    """Hands steps of a trial to its pruner and to `curve`; it raises when the trial is pruned."""
    from optuna import TrialPruned

    def report(step: int, reached: float) -> None:
        if step > _EARLY_STEPS and step % _STEP:
            return
        curve[step] = reached
        trial.report(reached, step)
        if trial.should_prune():
            raise TrialPruned

    return report


def _ending(
    objective: Objective, parameters: dict[str, Any], report: StepReport, curve: Mapping[int, float]
) -> tuple[TrialState, float | None, dict[str, float], str]:
    """State, value, other numbers and error of a trial, once its objective has returned or raised."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    try:
        numbers = dict(objective(parameters, report))
        return TrialState.COMPLETE, numbers.pop("value"), numbers, ""
    except TrialPruned:
        return TrialState.PRUNED, curve[max(curve)], {}, ""
    except Exception as raised:
        return TrialState.FAIL, None, {}, f"{type(raised).__name__}: {raised}"


def _sampler(search: Search, number: int) -> BaseSampler:
    from optuna import samplers

    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    if search.sampler == "tpe":
        return samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS, constant_liar=True)
    return samplers.RandomSampler(seed=seed)


def _pruner(search: Search) -> BasePruner:
    from optuna import pruners

    if search.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=_RANDOM_TRIALS // 2, n_warmup_steps=_EARLY_STEPS // 2)
    if search.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=_EARLY_STEPS)
    return pruners.NopPruner()


def _create(search: Search, storage: BaseStorage) -> Study:
    import optuna

    return optuna.create_study(
        study_name=search.name, storage=storage, direction="maximize", load_if_exists=True, sampler=_sampler(search, 0)
    )
