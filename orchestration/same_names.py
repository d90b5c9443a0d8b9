"""Code of others that is named like a package of ours: Python takes one of both, by where it looks first."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from jobs.display import listed
from jobs.errors import Invalid
from jobs.settings import ROOT, Settings

CODE = ("jobs", "serving", "assets", "orchestration")
"""Packages of ours."""

DISTRIBUTION = "evergreen-ml"


def found(settings: Settings) -> list[str]:
    """Modules in the project, in the working folder and where Python looks; packages that were installed over ours."""
    return [*map(str, _modules(settings)), *_installed()]


def expect_none_here() -> None:
    """Raises Invalid if the working folder has such modules: the processes of Dagster look there first."""
    if there := list(_in_folder(Path.cwd().resolve())):
        raise Invalid(
            f"{listed(there)}: expected no module named like a package of Evergreen in the working folder, found it; "
            "rename it"
        )


def _modules(settings: Settings) -> Iterator[Path]:
    folders = [settings.project or Path.cwd(), Path.cwd(), *(Path(each) for each in sys.path)]
    for folder in dict.fromkeys(each.resolve() for each in folders if each.is_dir()):
        yield from _in_folder(folder)


def _in_folder(folder: Path) -> Iterator[Path]:
    """A folder without a module, such as one of pictures, is in nobody's way."""
    for place in (folder / name for name in CODE if folder != ROOT):
        if any(place.glob("*.py")):
            yield place
        if place.with_suffix(".py").exists():
            yield place.with_suffix(".py")


def _installed() -> Iterator[str]:
    owners = metadata.packages_distributions()
    for name in CODE:
        for owner in sorted(set(owners.get(name, ()))):
            if re.sub(r"[-_.]+", "-", owner).lower() != DISTRIBUTION:
                yield f"{name} of the package {owner}"
