"""What loads of given files would do, tried source by source on the code path of a load; nothing is written.

What is reported of each input: see `jobs.ingest.check_report`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from jobs.error_messages import in_words, message_of
from jobs.errors import EvergreenError
from jobs.ingest import inspection, kept_declarations, later_columns, load, quarantine, registration
from jobs.ingest.check_report import CheckedInput, checked_input
from jobs.ingest.columns_file import columns_file
from jobs.ingest.input_files import find_files
from jobs.ingest.load_job import LoadJob
from jobs.ingest.parsing import table_schema
from jobs.ingest.raw_commit import LOADED_IN
from jobs.ingest.registered_inputs import InputError, Inputs, absolute
from jobs.ingest.rehearsal import Rehearsal
from jobs.settings import Settings
from jobs.use_case import Source, UseCase


@dataclass(frozen=True)
class Check:
    """What was found of each input that could be read, and why a load would be refused."""

    inputs: tuple[CheckedInput, ...]
    refusals: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """What a run needs beside the files given."""


def check_files(
    settings: Settings,
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    as_of: datetime | None,
    now: datetime,
) -> Check:
    """What `evergreen run` would do with files; `as_of` is the run's (None: its default)."""
    try:
        inputs = registration.describe(use_case, files, columns, now)
    except (EvergreenError, OSError) as error:
        return Check(_without_days(settings, use_case, files, columns, now), (_said(error),))
    return check(settings, use_case, inputs, as_of, now)


def _without_days(
    settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None, now: datetime
) -> tuple[CheckedInput, ...]:
    """What can be told of files that no run can be recorded for."""
    try:
        paths, declared = registration.named_files(use_case, files, columns)
    except (EvergreenError, OSError):
        return ()
    inputs = Inputs(absolute(paths), date.min, date.min, declared)
    return _tried(settings, use_case, inputs, now, now).inputs


def check(settings: Settings, use_case: UseCase, inputs: Inputs, as_of: datetime | None, now: datetime) -> Check:
    """What loads of `inputs` would do, up to `as_of` (None: as far as a run goes by itself)."""
    try:
        moment = min(inputs.end, now) if as_of is None else inputs.checked_as_of(as_of, now)
    except InputError as error:
        return Check((), (str(error),))
    return _tried(settings, use_case, inputs, moment, now)


def _tried(settings: Settings, use_case: UseCase, inputs: Inputs, as_of: datetime, now: datetime) -> Check:
    lakehouse, checked, refusals, missing, refused = Rehearsal(settings), [], [], [], set[str]()
    for source in use_case.sources:
        if refused & {reference.split(".")[0] for reference in source.references.values()}:
            continue
        if _is_missing(use_case, source, inputs):
            needed = f"as columns of a file given or as `--{source.input} FILE`"
            missing.append(f"{source.name}: a run needs them too, {needed}")
            continue
        try:
            paths, carrier = load.resolve(use_case, source, inputs)
            names = columns_file(inputs.columns, use_case)
            kept_declarations.expect(lakehouse, use_case, source)
            # Nothing is written: columns that a table does not have yet are left out.
            tried = later_columns.without(source, later_columns.of(lakehouse, use_case, source))
            job = LoadJob(lakehouse, use_case, tried, names, carrier, as_of, now, None, None)
            found, refusal = _try(job, paths, lakehouse) if paths else (None, "")
        except (EvergreenError, OSError) as error:
            found, refusal = None, _said(error)
        if refusal:
            refused.add(source.name)
            refusals.append(refusal)
        if found is not None:
            checked.append(found)
    return Check(tuple(checked), tuple(refusals), tuple(missing))


def _said(error: EvergreenError | OSError) -> str:
    """Why a load would be refused, such as a file that may not be read."""
    return str(error) if isinstance(error, EvergreenError) else message_of(error) or in_words(error)


def _is_missing(use_case: UseCase, source: Source, inputs: Inputs) -> bool:
    """Whether a source that a run needs has no file, and files that could carry it have none of its own columns."""
    if inputs.paths(source.input) or not source.required:
        return False
    carrier = use_case.source(source.carried_by or source.name)
    paths, names = inputs.paths(carrier.input), columns_file(inputs.columns, use_case)
    return not paths or not inspection.carries(carrier, source, names, find_files(paths))


def _try(job: LoadJob, paths: Sequence[Path], lakehouse: Rehearsal) -> tuple[CheckedInput, str]:
    """What is found in the files of a source, and why a load of them would be refused."""
    judged = load.judge(job, find_files(paths))
    found = checked_input(job, judged)
    if load.has_no_good_row(judged.batch, judged.outcomes):
        return found, str(quarantine.no_valid_rows(job.source, judged.batch, judged.outcomes.reasons))
    schema = table_schema(job.source, judged.identifiers)
    rows = judged.outcomes.new.with_columns(pl.lit(judged.table.loaded_in + 1, pl.Int64).alias(LOADED_IN))
    lakehouse.append(job.table, rows.select(schema.names).to_arrow().cast(schema))
    return found, ""
