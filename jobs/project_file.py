"""The file `evergreen.toml`, which makes a folder a project of one's own: its name, and which use cases run in it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jobs.errors import Invalid

FILE = "evergreen.toml"
_TABLE = "project"


@dataclass(frozen=True)
class ProjectFile:
    """What the file says."""

    folder: Path
    name: str
    use_cases: tuple[str, ...]
    """`module:VALUE` of each, of files of the folder: `use_cases.churn:CHURN`."""
    built_in: tuple[str, ...] = ()
    """Names of the use cases of this package that run there too."""


def nearest(folder: Path) -> Path | None:
    """The project that a folder is, or lies in; None: none."""
    return next((each for each in (folder, *folder.parents) if (each / FILE).is_file()), None)


def read(folder: Path) -> ProjectFile:
    """The file of a project. Raises Invalid, of what was expected, for one that is none."""
    path = folder / FILE
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(f"{path}: expected a file of TOML with a table [{_TABLE}], found {error}; correct it") from None
    table = content.pop(_TABLE, None)
    if content or not isinstance(table, dict):
        raise Invalid(f"{path}: expected a table [{_TABLE}] alone, found {sorted(content) or 'none'}; correct it")
    return ProjectFile(folder, **_values(path, table))


def modules(folder: Path, home: Path) -> list[Path]:
    """Python files of a project, sorted: not those of its home or of an environment of Python, which hold thousands of
    files and are not walked."""
    below = [each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    own = [each for each in below if each != home and not (each / "pyvenv.cfg").exists()]
    return [*sorted(folder.glob("*.py")), *(file for each in own for file in sorted(each.rglob("*.py")))]


def _values(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    names = [each.name for each in fields(ProjectFile) if each.name != "folder"]
    if unknown := sorted(set(table) - set(names)):
        raise Invalid(f"{path}: expected {', '.join(names)} in [{_TABLE}], found {unknown}; leave them out")
    name, use_cases = table.get("name"), table.get("use_cases", [])
    if not isinstance(name, str) or not name.isidentifier():
        raise Invalid(f"{path}: expected a name of letters, digits and _, found {name!r}; correct it")
    for places in (use_cases, table.get("built_in", [])):
        if not isinstance(places, list) or not all(isinstance(each, str) for each in places):
            raise Invalid(f"{path}: expected lists of texts for use_cases and built_in, found {places!r}; correct it")
    return {"name": name, "use_cases": tuple(use_cases), "built_in": tuple(table.get("built_in", []))}
