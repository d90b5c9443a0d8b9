"""The registered input files of a use case one by one, and taking them back.

Rows that were loaded from a file stay: history is never overwritten. What is taken back is not read again.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from jobs.ingest import registered_inputs, registration
from jobs.ingest.delta_input import table_at
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.settings import Settings
from jobs.use_case import UseCase


@dataclass(frozen=True)
class InputFile:
    """One file that a run would read."""

    name: str
    """The input that it belongs to, such as reports."""
    path: Path
    size: int | None
    """Bytes; None if it is not there."""


def files(settings: Settings, use_case: UseCase) -> list[InputFile]:
    """The registered files, of folders those inside; empty if nothing is registered."""
    inputs = registered_inputs.registered(settings, use_case)
    registered = [] if inputs is None else [(name, path) for name in inputs.files for path in inputs.paths(name)]
    return [InputFile(name, inside, _size(inside)) for name, path in registered for inside in _inside(path)]


def _inside(path: Path) -> list[Path]:
    """The files of a folder, such as that of verdicts; a Delta table is one file to whoever registers it."""
    whole = not path.is_dir() or _table(path) is not None
    return [path] if whole else sorted(file for file in path.iterdir() if file.is_file())


def _table(path: Path) -> Path | None:
    """The folder of the Delta table that `path` names; None if it names none, or none any more."""
    with contextlib.suppress(InputError):
        if table := table_at(path):
            return table[0]
    return None


def _size(path: Path) -> int | None:
    if path.is_file():
        return path.stat().st_size
    table = _table(path)
    return None if table is None else sum(file.stat().st_size for file in table.rglob("*") if file.is_file())


def remove(settings: Settings, use_case: UseCase, asked: Sequence[str], now: datetime) -> list[InputFile]:
    """Take files back, by their paths or names, and delete copies that the home keeps; returns what was taken back.

    Rows that were loaded from them stay in the tables.

    Raises:
        InputError: a file is not registered, or a name is that of several.
    """
    with registered_inputs.locked(settings, use_case):
        inputs, known = registered_inputs.registered(settings, use_case), files(settings, use_case)
        gone = [_named(use_case, known, text) for text in dict.fromkeys(asked)]
        if inputs is not None:
            left = {name: _left(inputs.paths(name), {file.path for file in gone}) for name in inputs.files}
            # First: a verdict that is not there is not read, and one that is left comes back with the next verdicts.
            for file in gone:
                if file.path.parent == registered_inputs.verdict_folder(settings, use_case).absolute():
                    file.path.unlink(missing_ok=True)
            registered_inputs.register(settings, use_case, _without(use_case, inputs, left, now))
        return gone


def _named(use_case: UseCase, known: Sequence[InputFile], text: str) -> InputFile:
    """The registered file of a path, or of a name that only one has."""
    absolute = Path(text).absolute()
    found = [file for file in known if file.path == absolute] or [file for file in known if file.path.name == text]
    if len(found) == 1:
        return found[0]
    paths = "\n".join(str(file.path) for file in known) or "none"
    what = "several files of that name" if found else "no such file"
    raise InputError(
        f"{text}: expected one of the registered files of {use_case.name}, found {what}; they are:\n{paths}"
    )


def _left(paths: Sequence[Path], gone: set[Path]) -> tuple[str, ...]:
    """Registered paths that are still read; of a folder that lost some files the others, if it still holds any."""
    left: list[Path] = []
    for path in paths:
        inside = _inside(path)
        kept = [file for file in inside if file not in gone]
        left += [path] if inside and kept == inside else kept
    return tuple(map(str, left))


def _without(use_case: UseCase, inputs: Inputs, left: dict[str, tuple[str, ...]], now: datetime) -> Inputs:
    """`inputs` of the files that are left; nothing is taken for given, so that the same command registers anew."""
    changed = replace(inputs, files={name: paths for name, paths in left.items() if paths}, given={})
    main = use_case.sources[0].input
    if left.get(main) == inputs.files.get(main) or not left.get(main):
        return changed
    try:
        return registration.with_days(use_case, changed, now)
    except InputError:
        # What is left may be bad too, and can be taken back next.
        return changed
