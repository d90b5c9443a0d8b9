"""Options that several commands share, and what they mean."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.use_case import UseCase


class FilePath(click.Path):
    """A file or folder that exists: what is neither, such as a device, may never end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not (path.is_file() or path.is_dir()):
            self.fail(
                f"expected a file or a folder, found that {str(path)!r} is neither; copy it to a file", param, ctx
            )
        return path


class InputPath(FilePath):
    """A file or folder that exists, or `FOLDER@N`: a version of a Delta table."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from jobs.ingest.delta_input import table_at
        from jobs.ingest.registered_inputs import InputError

        try:
            return Path(value) if table_at(Path(value)) else super().convert(value, param, ctx)
        except InputError as error:
            self.fail(str(error), param, ctx)


class Between(click.FloatRange):
    """A number within bounds, which NaN is not, though it is below and above none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"expected a number from {self.min} to {self.max}, found {value}", param, ctx)
        return number


FILE = FilePath(exists=True, path_type=Path)
INPUT = InputPath(exists=True, path_type=Path)
DAY = click.DateTime(["%Y-%m-%d"])
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
DAYS, SEED, PORT = click.IntRange(1, 36_500), click.IntRange(0, 2**32 - 1), click.IntRange(1, 65_535)
VERSION = click.IntRange(1, 2**31 - 1)
RATE = click.FloatRange(0, 1e9, min_open=True)
"""Requests a second."""


def complete_use_case(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Names of use cases that begin as what was typed, for the shell's completion."""
    from jobs.use_cases.catalog import USE_CASES

    return [use_case.name for use_case in USE_CASES if use_case.name.startswith(typed)]


def _first_use_case() -> str:
    from jobs.use_cases.catalog import USE_CASES

    return USE_CASES[0].name if USE_CASES else ""


use_case_option = click.option(
    "--use-case", "name", default=_first_use_case(), show_default=True, shell_complete=complete_use_case
)
columns_option = click.option(
    "--columns", type=FILE, help="YAML: your column names and time zone (docs/data/your-own-data.md)."
)


def use_case_named(name: str) -> UseCase:
    """The use case of `--use-case`; another name is a usage error that lists them."""
    from jobs.use_cases.catalog import BROKEN, USE_CASES

    declared = {use_case.name: use_case for use_case in USE_CASES}
    if name not in declared and (BROKEN or not declared):
        told = "; ".join(f"{place}: {why}" for place, why in BROKEN.items()) or "evergreen.toml names none"
        raise click.UsageError(f"--use-case: expected one that can be had, found {name!r}: {told}")
    if name not in declared:
        raise click.UsageError(f"--use-case: expected one of {', '.join(declared)}, found {name!r}")
    return declared[name]


def input_files(command: Callable[..., None]) -> Callable[..., None]:
    """An option for every file that a use case reads: the inputs of its sources."""
    from jobs.use_cases.catalog import USE_CASES

    helps: dict[str, list[str]] = {}
    for use_case in USE_CASES:
        for source in use_case.sources:
            helps.setdefault(source.input, []).append(f"{use_case.name}: {source.description}")
    for name, texts in reversed(helps.items()):
        command = click.option(f"--{name}", type=INPUT, multiple=True, help=" ".join(texts))(command)
    return command


def chosen_files(files: Mapping[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """Of the options that `input_files` declared, those that were used."""
    return {name: paths for name, paths in files.items() if paths}
