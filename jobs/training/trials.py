"""Trials of a search as Optuna stores them: written to a journal or a database, read back, and compared.

Which trials are run: see `jobs.training.search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.secret import Url
from jobs.settings import POSTGRESQL
from jobs.training.search_space import Space, distributions

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


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
    """Other numbers of the objective, and `seconds`."""
    curve: Mapping[int, float]
    error: str = ""


def load(name: str, folder: Path, url: Url | None = None) -> list[Trial]:
    """The ended trials of a study, by number; none if it is not stored any more."""
    import optuna

    path = folder / f"{name}.journal"
    if url is None and not path.exists():
        return []
    with quiet():
        try:
            stored = optuna.load_study(study_name=name, storage=storage(name, folder, url))
        except KeyError:
            return []
        return sorted(map(trial_of, stored.get_trials()), key=lambda trial: trial.number)


def best(trials: Sequence[Trial]) -> Trial:
    """The complete trial of the greatest value, the earliest of several."""
    return max(_complete(trials), key=lambda trial: (trial.value or 0.0, -trial.number))


def parameter_importance(trials: Sequence[Trial], space: Space, seed: int = 0) -> dict[str, float]:
    """Share of each parameter in the variance of the objective (fANOVA); empty with too few complete trials."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    complete = _complete(trials)
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    declared = distributions(space)
    with quiet():
        study = optuna.create_study(direction="maximize")
        for trial in complete:
            parameters = dict(trial.parameters)
            study.add_trial(create_trial(params=parameters, distributions=declared, value=trial.value))
        importances = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {name: float(share) for name, share in importances.items()}


def _complete(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state == "complete"]


def storage(name: str, folder: Path, url: Url | None = None) -> BaseStorage:
    """Where the study `name` is stored: a journal file in `folder`, or the database at an SQLAlchemy URL.

    The caller holds the lock of the journal.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.pool import NullPool

    if url is not None:
        # A bare PostgreSQL URL would mean a driver that is not among our dependencies; a pool would hold connections
        # open for as long as the process lives.
        driven = url.with_scheme("postgresql+psycopg") if url.parts.scheme in POSTGRESQL else url
        return RDBStorage(driven.reveal(), engine_kwargs={"poolclass": NullPool})
    path = folder / f"{name}.journal"
    _mend(path)
    return JournalStorage(JournalFileBackend(str(path), _NoLock()))


class _NoLock:
    """For a journal that is locked already: Optuna's own lock outlives a kill by half a minute."""

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


def number_of(frozen: FrozenTrial) -> int:
    """The number of a stored trial in its search; Optuna's own is the order in which trials ended."""
    return int(frozen.user_attrs["number"])


def trial_of(frozen: FrozenTrial) -> Trial:
    """A stored trial as a value."""
    own = frozen.user_attrs
    curve = dict(sorted(frozen.intermediate_values.items()))
    state = frozen.state.name.lower()
    return Trial(number_of(frozen), frozen.params, state, frozen.value, own["numbers"], curve, own["error"])


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Optuna prints its errors only."""
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
