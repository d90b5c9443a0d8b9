"""One search for good parameters: sampling, pruning, parallel trials and their storage, by Optuna.

What is tuned on which rows is not known here. A search repeats to the last digit, on any machine and however often it
was killed: trial k is drawn from the trials before k - `ahead` and nothing else, whichever of the later ones have ended
by then, and only ended trials are stored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.models.protocol import Report
from jobs.problem import Pruner, Range, Sampler
from jobs.state_files import file_lock

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Space = Mapping[str, Range | tuple[Any, ...]]
Objective = Callable[[Mapping[str, Any], Report], Mapping[str, float]]
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


@dataclass(frozen=True)
class Trial:
    """An ended trial."""

    number: int
    parameters: Mapping[str, Any]
    state: str
    """complete, pruned or fail."""
    value: float | None
    """Of the objective; of a pruned trial, what it had reached."""
    numbers: Mapping[str, float]
    """What else the objective told, and `seconds`."""
    curve: Mapping[int, float]
    error: str = ""


class TuningFailed(RuntimeError):
    """No trial of a search succeeded."""


def run(
    search: Search,
    objective: Objective,
    folder: Path,
    url: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """All trials of `search`, by number: those stored already, and the missing ones, run now.

    Args:
        folder: where journal files and locks lie.
        url: SQLAlchemy URL of the database that keeps the studies, instead of a journal file.
        progress: told how many trials have ended, of how many.

    Raises:
        TuningFailed: no trial succeeded.
    """
    with _quiet(), file_lock(folder / f"{search.name}.lock"):
        stored = _create(search, _storage(search.name, folder, url))
        ended = {_number(frozen): frozen for frozen in stored.get_trials()}
        distributions = {name: _distribution(values) for name, values in search.space.items()}
        total = min(search.trials, _points(distributions)) if search.sampler == "grid" else search.trials
        for frozen in _run(search, objective, distributions, total, ended):
            stored.add_trial(frozen)
            ended[_number(frozen)] = frozen
            if progress is not None:
                progress(len(ended), total)
    trials = [_trial(ended[number]) for number in sorted(ended)]
    if not any(trial.state == "complete" for trial in trials):
        raise TuningFailed(
            f"{search.name}: expected at least one of {len(trials)} trials to succeed, found none; "
            f"the last failed with: {trials[-1].error if trials else 'no trials asked for'}"
        )
    return trials


def load(name: str, folder: Path, url: str | None = None) -> list[Trial]:
    """The ended trials of a study, by number; none if it is not stored any more."""
    import optuna

    path = folder / f"{name}.journal"
    if url is None and not path.exists():
        return []
    with _quiet():
        try:
            stored = optuna.load_study(study_name=name, storage=_storage(name, folder, url))
        except KeyError:
            return []
        return sorted(map(_trial, stored.get_trials()), key=lambda trial: trial.number)


def best(trials: Sequence[Trial]) -> Trial:
    """The complete trial of the greatest value, the earliest of several."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number))


def importance(
    trials: Sequence[Trial], space: Mapping[str, Range | tuple[Any, ...]], seed: int = 0
) -> dict[str, float]:
    """Share of each parameter in the variance of the objective (fANOVA); empty with too few complete trials."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    distributions = {name: _distribution(values) for name, values in space.items()}
    with _quiet():
        study = optuna.create_study(direction="maximize")
        for trial in complete:
            parameters = dict(trial.parameters)
            study.add_trial(create_trial(params=parameters, distributions=distributions, value=trial.value))
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {name: float(share) for name, share in found.items()}


def _run(
    search: Search,
    objective: Objective,
    distributions: Mapping[str, BaseDistribution],
    total: int,
    ended: dict[int, FrozenTrial],
) -> Iterator[FrozenTrial]:
    """Missing trials as they end. The caller adds them to `ended` before it asks for the next."""
    grid = _grid(distributions, search.seed) if search.sampler == "grid" else []
    drawn: dict[int, dict[str, Any]] = {number: frozen.params for number, frozen in ended.items()}
    running: dict[int, Future[FrozenTrial]] = {}
    with ThreadPoolExecutor(search.workers, thread_name_prefix="trial") as pool:
        for number in range(total):
            while any(earlier in running for earlier in range(number - search.ahead + 1)):
                yield from _ended(running)
            if number in ended:
                continue
            history = [ended[earlier] for earlier in range(number - search.ahead + 1)]
            ahead = [drawn[earlier] for earlier in range(max(0, number - search.ahead + 1), number)]
            drawn[number] = grid[number] if grid else _draw(search, distributions, number, history, ahead)
            view = _view(search, number, history)
            running[number] = pool.submit(_one, view, objective, drawn[number], distributions, number)
        while running:
            yield from _ended(running)


def _ended(running: dict[int, Future[FrozenTrial]]) -> Iterator[FrozenTrial]:
    from concurrent.futures import FIRST_COMPLETED, wait

    wait(running.values(), return_when=FIRST_COMPLETED)
    for number in [number for number, future in running.items() if future.done()]:
        yield running.pop(number).result()


def _draw(
    search: Search,
    distributions: Mapping[str, BaseDistribution],
    number: int,
    history: Sequence[FrozenTrial],
    ahead: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Parameters of trial `number`, from the trials that count as ended and those that count as running."""
    from optuna.trial import TrialState, create_trial

    study = _view(search, number, history)
    for parameters in ahead:
        state = TrialState.RUNNING
        study.add_trial(create_trial(state=state, params=dict(parameters), distributions=dict(distributions)))
    return dict(study.ask(dict(distributions)).params)


def _view(search: Search, number: int, history: Sequence[FrozenTrial]) -> Study:
    """A study in memory that knows `history` alone: what one trial is drawn from, and pruned by."""
    import optuna

    study = optuna.create_study(
        study_name=search.name, direction="maximize", sampler=_sampler(search, number), pruner=_pruner(search)
    )
    study.add_trials(history)
    return study


def _one(
    view: Study,
    objective: Objective,
    parameters: dict[str, Any],
    distributions: Mapping[str, BaseDistribution],
    number: int,
) -> FrozenTrial:
    """Run one trial to its end; an error of the objective fails this trial only."""
    from optuna import TrialPruned
    from optuna.trial import TrialState, create_trial

    view.enqueue_trial(parameters)
    trial = view.ask(dict(distributions))
    began, curve, numbers = time.perf_counter(), {}, {}
    state, value, error = TrialState.COMPLETE, None, ""

    def report(step: int, reached: float) -> None:
        if step > _EARLY_STEPS and step % _STEP:
            return
        curve[step] = reached
        trial.report(reached, step)
        if trial.should_prune():
            raise TrialPruned

    try:
        numbers = dict(objective(parameters, report))
        value = numbers.pop("value")
    except TrialPruned:
        state, value = TrialState.PRUNED, curve[max(curve)]
    except Exception as raised:
        state, error = TrialState.FAIL, f"{type(raised).__name__}: {raised}"
    numbers["seconds"] = time.perf_counter() - began
    return create_trial(
        state=state,
        value=value,
        params=parameters,
        distributions=dict(distributions),
        user_attrs={"number": number, "numbers": numbers, "error": error},
        system_attrs=view.get_trials(deepcopy=False)[trial.number].system_attrs,
        intermediate_values=curve,
    )


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


def _distribution(values: Range | tuple[Any, ...]) -> BaseDistribution:
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(values)
    if values.integer:
        step = 1 if values.log else int(values.step or 1)
        return distributions.IntDistribution(int(values.low), int(values.high), values.log, step)
    return distributions.FloatDistribution(values.low, values.high, values.log, values.step)


def _values(distribution: BaseDistribution) -> list[Any]:
    from optuna import distributions as kinds

    if isinstance(distribution, kinds.CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, kinds.IntDistribution | kinds.FloatDistribution)
    if distribution.step is None:
        raise ValueError(
            f"grid search: expected a `step` for every range, found {distribution}; declare one, or list the values"
        )
    count = int(np.floor((distribution.high - distribution.low) / distribution.step + 1e-9)) + 1
    return [distribution.low + place * distribution.step for place in range(count)]


def _points(distributions: Mapping[str, BaseDistribution]) -> int:
    return int(np.prod([len(_values(distribution)) for distribution in distributions.values()]))


def _grid(distributions: Mapping[str, BaseDistribution], seed: int) -> list[dict[str, Any]]:
    """Every point of the grid, shuffled, so that fewer trials than points are spread over it."""
    from itertools import product

    points = [dict(zip(distributions, point, strict=True)) for point in product(*map(_values, distributions.values()))]
    return [points[place] for place in np.random.default_rng(seed).permutation(len(points))]


def _storage(name: str, folder: Path, url: str | None) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.pool import NullPool

    if url is not None:
        # A bare PostgreSQL URL would mean a driver that is not among our dependencies; a pool would hold connections
        # open for as long as the process lives.
        driven = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        return RDBStorage(driven, engine_kwargs={"poolclass": NullPool})
    path = folder / f"{name}.journal"
    _mend(path)
    return JournalStorage(JournalFileBackend(str(path), _NoLock()))


class _NoLock:
    """For a journal that `run` has locked already: Optuna's own lock outlives a kill by half a minute."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _mend(path: Path) -> None:
    """Cut off a line that a kill or a full disk left unfinished: Optuna would never read the journal again."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            path.write_bytes(whole)


def _create(search: Search, storage: BaseStorage) -> Study:
    import optuna

    return optuna.create_study(
        study_name=search.name, storage=storage, direction="maximize", load_if_exists=True, sampler=_sampler(search, 0)
    )


def _number(frozen: FrozenTrial) -> int:
    return int(frozen.user_attrs["number"])


def _trial(frozen: FrozenTrial) -> Trial:
    kept = frozen.user_attrs
    curve = dict(sorted(frozen.intermediate_values.items()))
    state = frozen.state.name.lower()
    return Trial(_number(frozen), frozen.params, state, frozen.value, kept["numbers"], curve, kept["error"])


@contextmanager
def _quiet() -> Iterator[None]:
    import warnings

    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The constant liar is marked experimental; Optuna is pinned.
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
