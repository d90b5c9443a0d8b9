"""The project that a home belongs to: tables of another one in it would be built by declarations that it does not have.

A project that was moved to another folder is still the same.
"""

from __future__ import annotations

from jobs.errors import Invalid
from jobs.project_file import ProjectFile
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json

FILE = "project.json"


def claim(settings: Settings, project: ProjectFile) -> None:
    """Note that a home belongs to a project, or raise Invalid if it is another one's."""
    path = settings.state / FILE
    owner = read_memory(path, lambda stored: {"name": str(stored["name"]), "folder": str(stored["folder"])})
    now = {"name": project.name, "folder": str(project.folder)}
    if owner is not None and owner["name"] != project.name:
        raise Invalid(
            f"{settings.home}: expected a home of the project {project.name}, found that of {owner['name']} "
            f"({owner['folder']}); give each project a home of its own (EVERGREEN_HOME), or leave the variable unset"
        )
    if owner != now:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_json(path, now)
