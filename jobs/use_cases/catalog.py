"""The use cases that run here: those of the project that one works in, or the built-in ones."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from jobs import settings
from jobs.errors import EvergreenError, Invalid
from jobs.project_file import ProjectFile
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

BUILT_IN: tuple[UseCase, ...] = (FRAUD, RETURNS)


def declared(project: ProjectFile | None) -> tuple[tuple[UseCase, ...], dict[str, str]]:
    """The use cases of a project, and where it says one that cannot be had: place -> why, in one line.

    A use case that is broken keeps no other from running.
    """
    if project is None:
        return BUILT_IN, {}
    if str(project.folder) not in sys.path:
        sys.path.append(str(project.folder))  # behind everything that is installed
    found: dict[str, UseCase] = {}
    broken: dict[str, str] = {}
    for place in (*project.built_in, *project.use_cases):
        try:
            use_case = _imported(place) if ":" in place else _built_in(place)
            if use_case.name in found:
                raise Invalid(f"expected a name of its own, found {use_case.name!r} a second time; rename it")
            found[use_case.name] = use_case
        except Exception as error:  # whatever is wrong with one file of the project
            broken[place] = _told(error, project.folder)
    return tuple(found.values()), broken


def _built_in(name: str) -> UseCase:
    known = {each.name: each for each in BUILT_IN}
    if name not in known:
        raise Invalid(f"expected module:VALUE, or one of {', '.join(known)}, found {name!r}; correct evergreen.toml")
    return known[name]


def _imported(place: str) -> UseCase:
    module, _, name = place.partition(":")
    value = getattr(importlib.import_module(module), name, None)
    if not isinstance(value, UseCase):
        raise Invalid(f"expected a UseCase named {name} in {module}, found {type(value).__name__}; correct the name")
    return value


def _told(error: Exception, folder: Path) -> str:
    """What went wrong, in one line, with the line of the project that it went wrong at."""
    own = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).is_relative_to(folder)]
    where = f"{Path(own[-1].filename).relative_to(folder)}, line {own[-1].lineno}: " if own else ""
    said = str(error) if isinstance(error, EvergreenError) else f"{type(error).__name__}: {error}"
    return where + " ".join(said.split())


def _of_here() -> tuple[tuple[UseCase, ...], Mapping[str, str]]:
    try:
        return declared(settings.project())
    except Invalid as error:
        return (), {"evergreen.toml": str(error)}


USE_CASES, BROKEN = _of_here()
"""Those that can be had; and what is told of those that cannot."""


def as_declared(built_in: UseCase) -> UseCase:
    """A built-in use case as the project that one works in declares it, such as with further columns; else as it is."""
    return next((each for each in USE_CASES if each.name == built_in.name), built_in)
