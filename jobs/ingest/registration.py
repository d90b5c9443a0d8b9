"""What is registered for given files: their absolute paths, the names of their columns, and the days they are about.

Where it is stored: see `jobs.ingest.registered_inputs`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from jobs.ingest import contracts, inspection, quarantine
from jobs.ingest.batches import read_batch
from jobs.ingest.input_files import find_files
from jobs.ingest.readers import ColumnNames, column_names, read_column_names
from jobs.ingest.registered_inputs import InputError, Inputs, absolute
from jobs.use_case import Source, UseCase


def describe(
    use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None, now: datetime | None = None
) -> Inputs:
    """What to register for `files` (input name -> paths): absolute paths, column names, days of the main source.

    The days are those of the events that hold the contract, none after `now`.
    Raises InputError if the main file or the columns file cannot be used.
    """
    main = use_case.sources[0]
    declared = read_column_names(columns) if columns else {}
    names = column_names(declared, use_case, columns or "")
    input_names = {s.input for s in use_case.sources}
    if unknown := sorted(set(files) - input_names):
        raise InputError(f"expected inputs among {sorted(input_names)}, found {unknown}")
    paths = {name: find_files(named_paths) for name, named_paths in files.items() if named_paths}
    if main.input not in paths:
        raise InputError(f"expected a file of {main.name} (`--{main.input} FILE`), found only {sorted(paths)}")
    days = _event_days(main, paths[main.input], names, now or datetime.max.replace(tzinfo=UTC))
    return Inputs(absolute(paths), *days, columns=declared)


def _event_days(source: Source, paths: Sequence[Path], names: ColumnNames, now: datetime) -> tuple[date, date]:
    inspected = inspection.inspect(source, paths, names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    batch = read_batch(source, inspected, names, {}, now)
    good, bad, _ = contracts.split(batch.frame, contracts.row_checks(source, batch.frame.columns, names.timezone, now))
    if good.is_empty():
        raise quarantine.no_valid_rows(source, batch, quarantine.reason_counts(bad))
    first, last = good.select(low=pl.col(source.event_time).min(), high=pl.col(source.event_time).max()).row(0)
    return first.date(), last.date()
