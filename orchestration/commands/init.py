"""`evergreen init` and `evergreen test`: a project of one's own; the work is in `jobs.projects.new_project`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from jobs.errors import Invalid
from orchestration.printing import say


def _of_its_own(context: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    if folder is not None and (folder == Path() or not str(folder).isprintable()):
        raise click.BadParameter(f"expected the path of a folder of its own, found {str(folder)!r}")
    return folder


folder_option = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), callback=_of_its_own,
    help="Where; default: a folder of that name here.",
)  # fmt: skip


@click.command()
@click.argument("name")
@folder_option
def init(name: str, folder: Path | None) -> None:
    """Make a folder with a project NAME: a use case to start from, with a sample of data and a test."""
    from jobs.projects import new_project

    place = (folder or Path(name)).absolute()
    for path in new_project.create(place, name):
        say(f"  {path.relative_to(place)}")
    say(f"{place} is a project. Next: cd {place} && evergreen run --use-case {name} && evergreen ui")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests of the project that one is in; ARGUMENTS are pytest's."""
    from importlib.util import find_spec

    from jobs import settings

    project = settings.project()
    if project is None:
        raise Invalid("test: expected a folder with evergreen.toml, here or above, found none; `evergreen init NAME`")
    if find_spec("pytest") is None:
        raise Invalid("test: expected pytest in this environment, found none; `pip install pytest`")
    found = [str(project.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(found)}
    command = [sys.executable, "-m", "pytest", "tests", *arguments]
    done = subprocess.run(command, cwd=project.folder, env=environ, check=False)
    sys.exit(done.returncode)
