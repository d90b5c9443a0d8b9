"""What is registered for given files: their absolute paths, the names of their columns, and the days they are about.

Where it is stored: see `jobs.ingest.registered_inputs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from jobs.display import listed
from jobs.ingest import contracts, inspection, quarantine
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile, columns_file, read_columns_file
from jobs.ingest.input_files import find_files
from jobs.ingest.registered_inputs import InputError, Inputs, absolute
from jobs.use_case import Source, UseCase


def describe(
    use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None, now: datetime | None = None
) -> Inputs:
    """What to register for `files` (input name -> paths): absolute paths, columns file, days of the main source.

    The days are those of the events that hold the contract, none after `now`.
    Raises InputError if the main file or the columns file cannot be used.
    """
    paths, declared = named_files(use_case, files, columns)
    inputs = Inputs(absolute(paths), use_case.first_day, use_case.last_day, declared)
    return with_days(use_case, inputs, now or datetime.now(UTC), columns or "")


def with_days(use_case: UseCase, inputs: Inputs, now: datetime, columns: Path | str = "") -> Inputs:
    """`inputs` with the days of the main source's events, none after `now`. Raises InputError if no row is valid."""
    main = use_case.sources[0]
    names = columns_file(inputs.columns, use_case, columns)
    times = _event_times(main, list(inputs.paths(main.input)), names, now)
    runs = _runs_of_days(times)
    return replace(inputs, first_day=runs[0][0], last_day=runs[-1][1], first_event=times[0], runs_of_days=runs)


def named_files(
    use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None
) -> tuple[dict[str, list[Path]], dict[str, Any]]:
    """The data files of each input, and the content of the columns file.

    Raises InputError if one of them is not there, or none is of the main source.
    """
    main = use_case.sources[0]
    declared = read_columns_file(columns) if columns else dict(use_case.columns_file)
    columns_file(declared, use_case, columns or "")
    input_names = {s.input for s in use_case.sources}
    if unknown := sorted(set(files) - input_names):
        raise InputError(
            f"{use_case.name}: expected inputs among {listed(sorted(input_names))}, found {listed(unknown)}; "
            "give its own files, or name the use case that these belong to (`--use-case`)"
        )
    paths = {name: find_files(named_paths) for name, named_paths in files.items() if named_paths}
    if main.input not in paths:
        raise InputError(f"expected a file of {main.name} (`--{main.input} FILE`), found only {listed(sorted(paths))}")
    return paths, declared


def _runs_of_days(times: pl.Series) -> tuple[tuple[date, date], ...]:
    """First and last day of each run of days that have one of the times."""
    days = pl.DataFrame({"day": times.dt.date().unique().sort()})
    runs = days.group_by(run=pl.col("day") - pl.int_range(pl.len()) * timedelta(days=1), maintain_order=True)
    return tuple(runs.agg(first=pl.col("day").min(), last=pl.col("day").max()).select("first", "last").iter_rows())


def _event_times(source: Source, paths: Sequence[Path], names: ColumnsFile, now: datetime) -> pl.Series:
    """When the events that hold the contract happened, in order."""
    inspected = inspection.inspect(source, paths, names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    batch = read_batch(source, inspected, names, {}, now)
    good, bad, _ = contracts.split(batch.frame, contracts.row_checks(source, batch.frame.columns, names.timezone, now))
    if good.is_empty():
        raise quarantine.no_valid_rows(source, batch, quarantine.reason_counts(bad))
    return good[source.event_time].sort()
