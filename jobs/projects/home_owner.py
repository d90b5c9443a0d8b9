"""The project that a home belongs to: tables of another one in it would be built by declarations that it does not have.

A project that was moved to another folder is still the same. A home that no project has used is for work without one.
"""

from __future__ import annotations

from collections.abc import Collection

from jobs import project_file
from jobs.errors import Invalid
from jobs.project_file import ProjectFile
from jobs.settings import PROJECT_VARIABLE, Settings
from jobs.state_files import read_memory, replace_json

FILE = "project.json"
_MEND = "give each project a home of its own (EVERGREEN_HOME), or leave the variable unset"


def claim(settings: Settings, project: ProjectFile, others: Collection[str] = ()) -> None:
    """Note that a home belongs to a project.

    Args:
        others: names of use cases that the project does not have.

    Raises Invalid if it is another project's, or holds one of `others` from before any project used it.
    """
    owner, now = _owner(settings), {"name": project.name, "folder": str(project.folder)}
    if owner is not None and owner["name"] != project.name:
        found = f"that of {owner['name']} ({owner['folder']})"
        raise Invalid(f"{settings.home}: expected a home of the project {project.name}, found {found}; {_MEND}")
    there = [] if owner else sorted(name for name in others if (settings.state / name).is_dir())
    if there:
        raise Invalid(
            f"{settings.home}: expected a home of the project {project.name}, found one of {', '.join(there)}, which "
            f"it does not have; {_MEND}, or add built_in = {there} to {project.folder / project_file.FILE}"
        )
    if owner != now:
        settings.state.mkdir(parents=True, exist_ok=True)
        replace_json(settings.state / FILE, now)


def expect_none(settings: Settings) -> None:
    """Raises Invalid if a home is a project's: for work without one."""
    if owner := _owner(settings):
        raise Invalid(
            f"{settings.home}: expected a home that is no project's, found that of {owner['name']} "
            f"({owner['folder']}); work in that folder or set {PROJECT_VARIABLE} to it, or name another EVERGREEN_HOME"
        )


def _owner(settings: Settings) -> dict[str, str] | None:
    return read_memory(
        settings.state / FILE, lambda stored: {"name": str(stored["name"]), "folder": str(stored["folder"])}
    )
