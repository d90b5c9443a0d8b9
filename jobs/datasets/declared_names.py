"""Names that a use case declares of columns which only SQL or Feast makes: a name that stands nowhere there is a slip.

A name is known if a source or a window declares it, or if its word stands in the files of dbt or of the feature repo:
these are not looked at more closely, so that no declaration is refused that works. A repo that does not write out the
name of the use case's feature service is left to Feast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain

from jobs.declared_place import Place
from jobs.display import listed
from jobs.errors import Invalid
from jobs.feature_store import feature_repo
from jobs.lakehouse.dbt_models import PARSED
from jobs.problem import Problem
from jobs.settings import Settings
from jobs.use_case import UseCase, age_name


def refuse_unknown(settings: Settings, use_case: UseCase) -> None:
    """Raises Invalid with the first name that nothing makes: what was expected, what was found, and where it stands."""
    services = set().union(*map(feature_repo.service_names, feature_repo.files(settings.feature_repo).values()))
    if use_case.feature_service in services:
        misfits = chain(_of_columns(settings, use_case), _of_views(settings, use_case))
    else:
        misfits = chain(_of_service(services, use_case))
    for misfit, place in misfits:
        raise Invalid(f"use case {use_case.name}: {misfit} (declared in {place.file}, line {place.line})")


def _of_columns(settings: Settings, use_case: UseCase) -> Iterator[tuple[str, Place]]:
    declared = _declared(settings, use_case)
    words = declared | set(_words(settings))
    for what, name in _named(use_case):
        if name not in words:
            yield (
                f"{what}: expected a column or feature that a source, a window, SQL or the feature repo names, found "
                f"{name!r}, which stands in none of them{_meant(name, declared)}; correct it, or declare the column in "
                "UseCase.computed", use_case.declared_at,
            )  # fmt: skip


def _named(use_case: UseCase) -> Iterator[tuple[str, str]]:
    """What names a column or a feature, and the name."""
    for what in ("event_id", "event_timestamp", "label"):
        yield what, getattr(use_case, what)
    yield from (("entities", name) for name in use_case.entities)
    if use_case.problem is not None:
        yield from _of_problem(use_case.problem)


def _of_problem(problem: Problem) -> Iterator[tuple[str, str]]:
    for what in ("weight", "amount", "cluster_key"):
        if name := getattr(problem, what):
            yield what, name
    for what in ("inputs", "baseline_features", "telling"):
        yield from ((what, name) for name in getattr(problem, what))
    yield from ((f"rule {rule.name}", name) for rule in problem.rules for name in rule.features)
    guards = (each for each in (*problem.slices, *problem.fairness) if each.source is None)
    yield from ((f"slice {guard.name}", guard.column) for guard in guards)


def _declared(settings: Settings, use_case: UseCase) -> set[str]:
    """Columns and features that are declared, and the ages of moments among them."""
    trees = feature_repo.files(settings.feature_repo).values()
    of_windows = (name for windows in use_case.windows for name in windows.names)
    named = {*use_case.kinds, *of_windows, *chain.from_iterable(map(feature_repo.field_names, trees))}
    return named | {age_name(name) for name in named}


def _words(settings: Settings) -> Iterator[str]:
    of_dbt = (file for pattern in PARSED for file in settings.dbt_project.rglob(pattern))
    for file in (*of_dbt, *settings.feature_repo.glob("*.py")):
        yield from re.findall(r"\w+", file.read_text(errors="replace"))


def _of_service(services: set[str], use_case: UseCase) -> Iterator[tuple[str, Place]]:
    """A slip in its name: a repo without one of nearly this name is that of other use cases."""
    if meant := _meant(use_case.feature_service, services):
        yield (
            f"feature_service: expected one that the feature repo declares, {listed(sorted(services))}, found "
            f"{use_case.feature_service!r}{meant}; correct it", use_case.declared_at,
        )  # fmt: skip


def _of_views(settings: Settings, use_case: UseCase) -> Iterator[tuple[str, Place]]:
    """Features that the use case's file of the feature repo selects of a view."""
    declared = _declared(settings, use_case)
    for file, tree in feature_repo.of_use_case(settings.feature_repo, use_case).items():
        for name, line in feature_repo.selected(tree):
            if name not in declared:
                yield (
                    f"feature view: expected features of its windows or fields, found {name!r}"
                    f"{_meant(name, declared)}; correct it", Place(str(file), line),
                )  # fmt: skip


def _meant(name: str, declared: set[str]) -> str:
    close = get_close_matches(name, sorted(declared), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
