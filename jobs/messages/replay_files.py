"""The files that a stream is replayed from: which ones, and the rows of each source in them.

What is made of rows: see `jobs.messages.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from jobs.errors import Invalid
from jobs.ingest import contracts, inspection, load
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import columns_file, read_columns_file
from jobs.ingest.input_files import find_files
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError, Inputs, absolute, registered
from jobs.settings import Settings
from jobs.use_case import Progress, Source, UseCase


@dataclass(frozen=True)
class Rows:
    """The rows of one source that hold its contract, and how many did not."""

    source: Source
    frame: pl.DataFrame
    """The declared columns, and `known_at`."""
    bad: int


def given(use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None) -> Inputs:
    """Files named by a person, by their input. Raises InputError if one cannot be used."""
    declared = read_columns_file(columns) if columns else dict(use_case.columns_file)
    columns_file(declared, use_case, columns or "")
    return Inputs(absolute(files), use_case.first_day, use_case.last_day, declared)


def usual(settings: Settings, use_case: UseCase, progress: Progress | None = None) -> Inputs:
    """The registered files; without any, the built-in input, which is written and not registered: runs that read the
    stream would read it twice.

    Raises Invalid if there is no built-in input.
    """
    if (inputs := registered(settings, use_case)) is not None:
        return inputs
    if use_case.default_input is None:
        raise Invalid(
            f"{use_case.name}: expected files, found none registered, and no built-in input; name some "
            f"(`--{use_case.sources[0].input} FILE`)"
        )
    files = use_case.default_input(settings.home / "input" / use_case.name, progress)
    return given(use_case, {name: [file] for name, file in files.items()}, None)


def read(use_case: UseCase, inputs: Inputs, now: datetime) -> tuple[Rows, ...]:
    """The rows of all sources that `inputs` have files of, or columns in the files of another source.

    Raises InputError if a file cannot be used.
    """
    each = (_read(use_case, source, inputs, now) for source in use_case.sources)
    return tuple(rows for rows in each if rows is not None)


def _read(use_case: UseCase, source: Source, inputs: Inputs, now: datetime) -> Rows | None:
    names = columns_file(inputs.columns, use_case)
    paths, carrier = load.given(use_case, source, inputs)
    files = find_files(paths) if paths else []
    if not files or (carrier and not inspection.carries(carrier, source, names, files)):
        return None
    inspected = inspection.inspect(source, files, names, {}, carrier)
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    batch = read_batch(source, inspected, names, {}, now)
    checks = contracts.row_checks(source, batch.frame.columns, names.timezone, now)
    good, bad, _ = contracts.split(batch.frame, checks)
    return Rows(source, good.select(*(column.name for column in source.columns), KNOWN_AT), bad.height)
