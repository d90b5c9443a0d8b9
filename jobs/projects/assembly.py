"""The folders that dbt and Feast read in a project: what this package has for all, what follows from the declarations,
and what the project wrote itself, which takes the place of either.

    home/project/dbt_project    macros, tests, models
    home/project/feature_repo   a file of each use case
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.project_file import ProjectFile
from jobs.projects import home_owner
from jobs.projects.standard_models import standard_models
from jobs.projects.standard_views import standard_views
from jobs.settings import ASSEMBLED, ROOT, Settings
from jobs.state_files import file_lock, replace_bytes
from jobs.use_case import UseCase

Files = dict[str, bytes]
"""Path in a folder -> content."""
DBT, FEATURES = "dbt", "features"
"""Folders of a project."""
EXTRA = "macros/declared_extra.sql"
"""What a project declares beside a built-in use case, for SQL."""


def assemble(
    settings: Settings, project: ProjectFile | None, use_cases: Sequence[UseCase], built_in: Sequence[UseCase]
) -> None:
    """Bring the folders in line with the project as it is now; nothing without one.

    Args:
        use_cases: of the project. built_in: those of the package, whose files one of their name has, too.

    Raises Invalid if the home is another project's, or that of work without one.
    """
    if project is None:
        return
    with file_lock(settings.home / "locks" / "project.lock"):
        names = [each.name for each in use_cases]
        home_owner.claim(settings, project, [each.name for each in built_in if each.name not in names])
        for folder, wanted in {
            settings.dbt_project: _dbt(project, use_cases, built_in),
            settings.feature_repo: _features(project, use_cases, [each.name for each in built_in]),
        }.items():
            if folder.parent == settings.home / ASSEMBLED:  # another one was named by the environment
                _write(folder, wanted)


def base_files(folder: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of what this package has in `dbt_project` or `feature_repo`."""
    return _files(ROOT / folder)


def _dbt(project: ProjectFile, use_cases: Sequence[UseCase], built_in: Sequence[UseCase]) -> Files:
    base = dict(base_files("dbt_project"))
    files = {name: content for name, content in base.items() if not name.startswith("models/")}
    own = dict(_files(project.folder / DBT))
    written = {Path(name).name for name in own}
    originals = {each.name: each for each in built_in}
    extra: dict[str, list[str]] = {}
    for use_case in use_cases:
        if use_case.name in originals:
            files |= {n: content for n, content in base.items() if f"/{use_case.name}/" in n}
            extra |= _extra_columns(use_case, originals[use_case.name])
        else:
            made = standard_models(use_case).items()
            files |= {f"models/{n}": text.encode() for n, text in made if Path(n).name not in written}
    files[EXTRA] = f"{{% macro declared_extra() %}}{{{{ return({extra!r}) }}}}{{% endmacro %}}\n".encode()
    return files | own


def _extra_columns(use_case: UseCase, original: UseCase) -> dict[str, list[str]]:
    """`use case.source` -> columns that a project declares beside those of the built-in use case."""
    found: dict[str, list[str]] = {}
    for source in original.sources:
        known = [column.name for column in source.columns]
        more = [column.name for column in use_case.source(source.name).columns if column.name not in known]
        found |= {f"{use_case.name}.{source.name}": more} if more else {}
    return found


def _features(project: ProjectFile, use_cases: Sequence[UseCase], built_in: Sequence[str]) -> Files:
    base, own = dict(base_files("feature_repo")), dict(_files(project.folder / FEATURES))
    files = {"feature_store.yaml": base["feature_store.yaml"]}
    for use_case in use_cases:
        name = f"{use_case.name}_features.py"
        if use_case.name in built_in:
            files[name] = base[name]
        elif name not in own and (place := _place(use_case, project.use_cases)):
            files[name] = standard_views(use_case, place).encode()
    return files | own


def _place(use_case: UseCase, places: Sequence[str]) -> str | None:
    """`module:VALUE` of a use case of the project."""
    for place in places:
        module, _, value = place.partition(":")
        if getattr(sys.modules.get(module), value, None) is use_case:
            return place
    return None


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(("target/", "logs/")) and "__pycache__" not in name:
            yield name, path.read_bytes()


def _write(folder: Path, wanted: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    there = dict(_files(folder))
    for name in set(there) - set(wanted):
        (folder / name).unlink()
    for name, content in wanted.items():
        if there.get(name) != content:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            replace_bytes(folder / name, content)
