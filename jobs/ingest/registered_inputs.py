"""Which files feed a use case: registered by `evergreen run`, or the built-in input, made when first needed.

Reading the files: see `jobs.ingest.load`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jobs.errors import EvergreenError, Invalid
from jobs.lakehouse import table_log
from jobs.settings import Settings
from jobs.state_files import file_lock, read_state, replace_json
from jobs.times import end_of, midnight, moment_text
from jobs.use_case import Progress, UseCase

_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
"""Locks of runs that this thread holds."""


class InputError(EvergreenError, ValueError):
    """An input that cannot be used as it is: the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class Inputs:
    """Files per input name, how their columns are called, and the days they are about."""

    files: Mapping[str, tuple[str, ...]]
    first_day: date
    last_day: date
    columns: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    """What was given on the command line when this was registered: path -> size and time."""
    first_event: datetime | None = None
    """Time of the first event; None: the first day has it somewhere."""
    runs_of_days: tuple[tuple[date, date], ...] = ()
    """First and last day of each run of days that have events, in their order; empty: every day may have some."""

    @property
    def end(self) -> datetime:
        """Midnight after the last day: the default `as_of`."""
        return end_of(self.last_day)

    def checked_as_of(self, as_of: datetime, now: datetime) -> datetime:
        """`as_of`, if something had happened by then and it is not to come. Raises InputError otherwise."""
        first = self.first_event or midnight(self.first_day)
        if first <= as_of <= now:
            return as_of
        raise InputError(
            f"--as-of: expected a time from {moment_text(first)}, when the first event of the input happened, to "
            f"{moment_text(now)}, which is now, found {moment_text(as_of)}; give a time in between, or leave it out"
        )

    def paths(self, name: str) -> tuple[Path, ...]:
        return tuple(Path(f) for f in self.files.get(name, ()))


def _file(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "inputs.json"


@contextmanager
def locked(settings: Settings, use_case: UseCase, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Held by each run of a use case, wherever it started, and by whoever else changes what is registered: one at a
    time. Whoever holds it may take it again. `waiting` is called now and then while another process holds it.
    """
    path = settings.home / "locks" / f"run.{use_case.name}.lock"
    if path in _HELD.get():
        yield
        return
    with file_lock(path, waiting):
        _HELD.set(_HELD.get() | {path})
        try:
            yield
        finally:
            _HELD.set(_HELD.get() - {path})


def under_way(use_case: UseCase) -> str:
    """What a run says that waits for the lock."""
    return f"Another run or change of {use_case.name} is under way; this one begins when that one has ended."


def registered(settings: Settings, use_case: UseCase) -> Inputs | None:
    """What was registered for this home, if anything was."""
    inputs = read_state(_file(settings, use_case), _inputs, f"name your files again ({_command(use_case)})")
    return inputs and _without_gone(inputs, verdict_folder(settings, use_case).absolute())


def _command(use_case: UseCase) -> str:
    """The command that registers files, as messages advise it."""
    return f"`evergreen run --use-case {use_case.name} --{use_case.sources[0].input} FILE ...`"


def verdict_folder(settings: Settings, use_case: UseCase) -> Path:
    """Where the home keeps verdicts of reviewers, of which each file is an input."""
    return settings.home / "input" / use_case.name / "verdicts"


def _without_gone(inputs: Inputs, verdicts: Path) -> Inputs:
    """Less the verdicts that are not there: what took them back was killed before it was written down."""

    def is_there(path: Path) -> bool:
        return any(path.glob("*.csv")) if path == verdicts else path.parent != verdicts or path.exists()

    left = {name: tuple(str(path) for path in inputs.paths(name) if is_there(path)) for name in inputs.files}
    return replace(inputs, files={name: files for name, files in left.items() if files})


def _inputs(stored: Mapping[str, Any]) -> Inputs:
    return Inputs(
        files={name: tuple(files) for name, files in stored["files"].items()},
        first_day=date.fromisoformat(stored["first_day"]),
        last_day=date.fromisoformat(stored["last_day"]),
        columns=stored["columns"],
        given=stored.get("given", {}),
        first_event=datetime.fromisoformat(stored["first_event"]) if stored.get("first_event") else None,
        runs_of_days=tuple(_run_of_days(*run) for run in stored.get("runs_of_days", ())),
    )


def _run_of_days(first: str, last: str) -> tuple[date, date]:
    return date.fromisoformat(first), date.fromisoformat(last)


def register(settings: Settings, use_case: UseCase, inputs: Inputs) -> Inputs:
    """Make `inputs` the files that every later run of this use case reads, the UI's included."""
    replace_json(_file(settings, use_case), asdict(inputs))
    return inputs


def stamps(files: Iterable[Path]) -> dict[str, str]:
    """Size and modification time of files: the same stamps need no second look. Folders have none."""
    stats = {str(f.absolute()): f.stat() for f in files if f.is_file()}
    return {path: f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in stats.items()}


def absolute(files: Mapping[str, Sequence[str | Path]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(str(Path(f).absolute()) for f in paths) for name, paths in files.items() if paths}


def ensure(settings: Settings, use_case: UseCase, progress: Progress | None = None) -> Inputs:
    """The registered inputs; if there are none, the use case's built-in input is written and registered.

    Raises ValueError if the use case has no built-in input.
    """
    inputs = registered(settings, use_case)
    if inputs is not None:
        return inputs
    if use_case.default_input is None:
        raise Invalid(
            f"{use_case.name}: expected registered files, found none, and no built-in input; {_command(use_case)}"
        )
    for table in map(use_case.raw_table, use_case.sources):
        if table_log.exists(f"{settings.warehouse.rstrip('/')}/{table.replace('.', '/')}"):
            raise Invalid(
                f"{_file(settings, use_case)}: expected the files that {table} was loaded from, found none; name your "
                f"files again ({_command(use_case)}), or restore it from a backup"
            )
    files = use_case.default_input(settings.home / "input" / use_case.name, progress)
    paths = absolute({name: [f] for name, f in files.items()})
    inputs = Inputs(paths, use_case.first_day, use_case.last_day, use_case.columns_file)
    return register(settings, use_case, inputs)
