"""What the commands' options mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

FILE = click.Path(exists=True, path_type=Path)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.use_case import UseCase


def use_case_named(name: str) -> UseCase:
    """The use case of `--use-case`; another name is a usage error that lists them."""
    from jobs.use_cases.catalog import USE_CASES

    known = {u.name: u for u in USE_CASES}
    if name not in known:
        raise click.UsageError(f"--use-case: expected one of {', '.join(known)}, found {name!r}")
    return known[name]


def input_files(command: Callable[..., None]) -> Callable[..., None]:
    """An option for every file that a use case reads: the inputs of its sources."""
    from jobs.use_cases.catalog import USE_CASES

    helps: dict[str, list[str]] = {}
    for use_case in USE_CASES:
        for source in use_case.sources:
            helps.setdefault(source.input, []).append(f"{use_case.name}: {source.description}")
    for name, said in reversed(helps.items()):
        command = click.option(f"--{name}", type=FILE, multiple=True, help=" ".join(said))(command)
    return command


def given(files: Mapping[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """Of the options that `input_files` made, those that were used."""
    return {name: paths for name, paths in files.items() if paths}
