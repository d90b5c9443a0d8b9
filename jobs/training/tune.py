"""Best parameters per family: searched on the time-ordered validation window, or taken from the last search.

How a search proceeds is in `jobs.training.search`; training the candidate with what was found is in
`jobs.training.train`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.datasets import time_split
from jobs.datasets.training_rows import TrainingRows, feature_names, read, sampled
from jobs.lakehouse.tables import Lakehouse
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples, StepReport
from jobs.objective import AVERAGE_PRECISION
from jobs.problem import Family, Problem
from jobs.registry import provenance
from jobs.secret import Url
from jobs.settings import Settings
from jobs.state_files import file_lock, read_state, replace_json
from jobs.tasks.task import RowValues
from jobs.training import search as study
from jobs.training import trials as stored
from jobs.training.search import Search
from jobs.training.trials import Trial
from jobs.use_case import UseCase, problem_of

TuningProgress = Callable[[str, int, int], None]
"""Called with the family, the trials that have ended and how many there will be."""


@dataclass(frozen=True)
class Tuning:
    """Parameters to train with, and where they come from."""

    as_of: str
    reason: str
    """Why they were searched, or taken over; or why nothing could be learned."""
    refused: bool = False
    reused: bool = False
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Family -> what the search found; families without a search space have no entry."""
    studies: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    prevalence: float = 0.0
    """Of positives; of another task what its labels are like (`Task.level`)."""
    chance: float | None = None
    """What the best constant gains by another objective than average precision; None: it is the prevalence."""
    declared: str = ""
    """Hash of search spaces and feature declarations."""
    trials: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    """Of this call; none if the parameters were taken over."""


def tune(lakehouse: Lakehouse, use_case: UseCase, progress: TuningProgress | None = None) -> Tuning:
    """Tune on the training set as it is; what was found before is used again when little changed since.

    Raises:
        ValueError: there is no training set, or its values cannot be learned from.
        TuningFailed: no trial of a family succeeded.
    """
    settings, state = lakehouse.settings, provenance.of_training_set(lakehouse, use_case)
    problem, as_of, version = problem_of(use_case), provenance.as_of(state), lakehouse.version(use_case.training_set)
    assert version is not None
    rows = read(lakehouse, use_case, version, feature_names(lakehouse, use_case, version, state["features"]))
    parts = parts_of(use_case, problem, as_of, rows)
    if reason := time_split.refusal(parts, rows.times, rows.examples.labels, rows.examples.task):
        return Tuning(state["as_of"], reason, refused=True)
    plan = _wanted(problem, rows, parts, state)
    with file_lock(_folder(settings, use_case) / "lock"):
        before = last(settings, use_case, as_of)
        again, reason = _why(plan, before, problem)
        if before is not None and not again:
            return replace(before, as_of=state["as_of"], reason=reason, reused=True)
        tuned = search(use_case, rows, state, _folder(settings, use_case), settings.tuning_url, progress)
        _remember(settings, use_case, replace(tuned, reason=reason))
        return replace(tuned, reason=reason)


def search(
    use_case: UseCase,
    rows: TrainingRows,
    state: Mapping[str, Any],
    folder: Path,
    url: Url | None = None,
    progress: TuningProgress | None = None,
) -> Tuning:
    """Search the parameters of every family that has a search space; only trials are stored.

    Args:
        state: what the training set was built from, see `jobs.registry.provenance`.
        folder, url: where the trials are stored, see `jobs.training.search.run`.
    """
    problem = problem_of(use_case)
    parts = parts_of(use_case, problem, provenance.as_of(state), rows)
    plan = _wanted(problem, rows, parts, state)
    trials: dict[str, tuple[Trial, ...]] = {}
    studies = {}
    for family in (family for family in problem.families if family.search):
        wish = _search(use_case, problem, family, plan, state)
        report = None if progress is None else _named(progress, family.name)
        with one_thread():
            objective = _objective(family, rows, parts, problem.seed, problem.weight is not None)
            trials[family.name] = tuple(study.run(wish, objective, folder, url, report))
        studies[family.name] = wish.name
    parameters = {name: dict(stored.best(family_trials).parameters) for name, family_trials in trials.items()}
    return replace(plan, parameters=parameters, studies=studies, trials=trials)


def last(settings: Settings, use_case: UseCase, as_of: datetime) -> Tuning | None:
    """What the latest tuning until `as_of` found; a later one would bring knowledge of the future."""
    before = [tuning for tuning in _results(settings, use_case) if datetime.fromisoformat(tuning.as_of) <= as_of]
    return max(before, key=lambda tuning: datetime.fromisoformat(tuning.as_of), default=None)


def trials_of(settings: Settings, use_case: UseCase, tuning: Tuning) -> dict[str, tuple[Trial, ...]]:
    """The stored trials of a tuning, by family."""
    folder = _folder(settings, use_case)
    return {f: tuple(stored.load(name, folder, settings.tuning_url)) for f, name in tuning.studies.items()}


def parts_of(use_case: UseCase, problem: Problem, as_of: datetime, rows: TrainingRows) -> time_split.Split:
    """The split of these rows at `as_of`, with a judged window that the gate can judge on, if there is one."""
    parts = time_split.split(as_of, use_case.label_maturity, problem.validation_window, problem.evaluation_window)
    return time_split.with_evidence(parts, problem.longest_evaluation_window, rows.labelled_times, problem.limits)


def _wanted(problem: Problem, rows: TrainingRows, parts: time_split.Split, state: Mapping[str, Any]) -> Tuning:
    """What is to be tuned, without an answer."""
    labels, task = rows.examples.labels[parts.training(rows.times)], rows.examples.task
    held, chance = rows.rows(parts.validation(rows.times)), None
    if task.objective.name != "average_precision":
        constants = task.constant_scores(labels, len(held)).values()
        values = RowValues(days=held.days)
        chance = max(task.gain(task.value(held.examples.labels, scores, values)) for scores in constants)
    return Tuning(
        as_of=state["as_of"],
        reason="searched",
        rows=len(labels),
        prevalence=task.level(labels),
        chance=chance,
        declared=_declared(problem, state, rows.examples.names),
    )


def _why(plan: Tuning, before: Tuning | None, problem: Problem) -> tuple[bool, str]:
    """Whether to search, and why."""
    if before is None:
        return True, "nothing was tuned before"
    age = datetime.fromisoformat(plan.as_of) - datetime.fromisoformat(before.as_of)
    if before.declared != plan.declared:
        return True, "features, families or search spaces were declared anew since the last tuning"
    if age > problem.retune_after:
        return True, f"the last tuning is {age.days} days old, more than {problem.retune_after.days}"
    for what, now, then in (
        ("training rows", plan.rows, before.rows),
        ("prevalence", plan.prevalence, before.prevalence),
    ):
        if abs(now / then - 1) > problem.reuse:
            return True, f"{what} changed from {then:.6g} to {now:.6g}, by more than {problem.reuse:.0%}"
    return False, (
        f"tuned as of {before.as_of[:10]}; since then rows {before.rows:,} -> {plan.rows:,} and prevalence "
        f"{before.prevalence:.5f} -> {plan.prevalence:.5f}, within {problem.reuse:.0%}"
    )


def _declared(problem: Problem, state: Mapping[str, Any], names: tuple[str, ...]) -> str:
    tuned = [family for family in problem.families if family.search]
    how = [problem.trials, problem.sampler, problem.pruner, problem.parallel, problem.seed, problem.validation_window]
    # As it was before another objective could be declared.
    asked = () if problem.measured_by == AVERAGE_PRECISION else (problem.measured_by,)
    return provenance.digest(tuned, how, state["declarations"], names, *asked)


def _search(use_case: UseCase, problem: Problem, family: Family, plan: Tuning, state: Mapping[str, Any]) -> Search:
    made_of = provenance.digest(plan.declared, state, provenance.code_sha256())
    return Search(
        name=f"{use_case.name}-{family.name}-{made_of[:16]}",
        space=family.search,
        trials=problem.trials,
        sampler=problem.sampler,
        pruner=problem.pruner,
        seed=problem.seed,
        workers=problem.parallel,
    )


def drawn_examples(rows: TrainingRows, parts: time_split.Split, rate: float, seed: int) -> tuple[Examples, Examples]:
    """Examples to train on and to stop by: all positives and a share `rate` of the negatives, of either window."""
    train, valid = (rows.examples.rows(mask(rows.times)) for mask in (parts.training, parts.validation))
    return sampled(train, rate, seed), sampled(valid, rate, seed)


def _objective(
    family: Family, rows: TrainingRows, parts: time_split.Split, seed: int, weighed: bool
) -> study.Objective:
    rate = family.negative_rate if family.tuning_rate is None else family.tuning_rate
    train, stop = drawn_examples(rows, parts, rate, seed)
    held = rows.rows(parts.validation(rows.times))
    valid, task = held.examples, held.examples.task
    values = held.values if weighed else RowValues(days=held.days)

    def objective(parameters: Mapping[str, Any], report: StepReport) -> Mapping[str, float]:
        model = new_model(family.name, {**family.fixed, **parameters}, train.names)
        model.fit(train, stop, seed=seed, device=device(), report=report)
        reached = task.value(valid.labels, model.predict(valid.features), values)
        return {"value": task.gain(reached), "steps": model.steps}

    return objective


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread per model: trials and families run side by side, and more threads would also change rounding."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def device() -> str:
    """ "cuda" where there is a GPU that PyTorch can use."""
    if not _has_driver():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _has_driver() -> bool:
    """Whether this machine has a driver of NVIDIA or AMD: without one PyTorch, whose import takes seconds, need not be
    asked."""
    with suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return True
    return Path("/dev/kfd").exists()


def _named(progress: TuningProgress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _folder(settings: Settings, use_case: UseCase) -> Path:
    return settings.home / "tuning" / use_case.name


def _results(settings: Settings, use_case: UseCase) -> list[Tuning]:
    path = _folder(settings, use_case) / "results.json"
    advice = "run again: parameters are then searched anew"
    return read_state(path, lambda stored: [Tuning(**each) for each in stored], advice) or []


def _remember(settings: Settings, use_case: UseCase, tuning: Tuning) -> None:
    others = [stored for stored in _results(settings, use_case) if stored.as_of != tuning.as_of]
    replace_json(_folder(settings, use_case) / "results.json", [_plain(stored) for stored in (*others, tuning)])


def _plain(tuning: Tuning) -> dict[str, Any]:
    plain = asdict(tuning)
    del plain["trials"]
    return plain
