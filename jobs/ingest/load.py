"""Loading files into raw tables: append-only, idempotent, bad rows to quarantine, one commit per load.

Files, values, contracts, versions, schemas and the commit have modules of their own; this one is the order of events.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from jobs.ingest import (
    contracts,
    inspection,
    kept_declarations,
    later_columns,
    load_warnings,
    quarantine,
    raw_commit,
    references,
    row_outcomes,
    schemas,
)
from jobs.ingest.batches import as_stored, read_batch
from jobs.ingest.calendar import LAST
from jobs.ingest.columns_file import columns_file
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.input_files import find_files
from jobs.ingest.load_job import Days, LoadJob
from jobs.ingest.load_memory import LoadResult, Memory, Remembered, stamped
from jobs.ingest.parsing import HAPPENED, UTC, Batch, table_schema
from jobs.ingest.raw_table import Table, rows_per_day, stored_rows
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.ingest.row_outcomes import RowOutcomes
from jobs.ingest.row_versions import TOO_SOON
from jobs.ingest.schemas import SchemaChanged
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Progress, Source, UseCase


def resolve(use_case: UseCase, source: Source, inputs: Inputs) -> tuple[tuple[Path, ...], Source | None]:
    """The files of `source`, and the source that carries it in its own files, if that is so.

    Raises InputError if a required source has no file.
    """
    paths, carrier = given(use_case, source, inputs)
    if source.required and not paths:
        raise InputError(f"{source.name}: expected a file (`--{source.input} FILE`), found none")
    return paths, carrier


def given(use_case: UseCase, source: Source, inputs: Inputs) -> tuple[tuple[Path, ...], Source | None]:
    """The same, required or not: no file where none is named."""
    if own := inputs.paths(source.input):
        return own, None
    carrier = use_case.source(source.carried_by) if source.carried_by else None
    if carrier is not None and (carried := inputs.paths(carrier.input)):
        return carried, carrier
    return (), None


def load(
    lakehouse: Lakehouse,
    use_case: UseCase,
    source: Source,
    inputs: Inputs,
    *,
    as_of: datetime,
    now: datetime,
    days: Days | None = None,
    progress: Progress | None = None,
) -> LoadResult:
    """Append the rows of `inputs` that are new for `source` and known at `as_of` to its raw table.

    Rows that break the contract go to the quarantine table. `now` only tells which events lie in the future; `days`
    (first, last) restricts the load to events of those dates. Loading the same again appends nothing.

    Raises InputError if a file cannot be used or has no valid row, SchemaChanged if its columns are not those
    accepted before; nothing is appended then.
    """
    started = time.monotonic()
    names = columns_file(inputs.columns, use_case)
    paths, carrier = resolve(use_case, source, inputs)
    with lakehouse.lock(use_case.raw_table(source)):
        job = LoadJob(lakehouse, use_case, source, names, carrier, as_of, now, days, progress)
        files = find_files(paths) if paths else []
        kept_declarations.expect(lakehouse, use_case, source)
        added = _take_later_columns(job, files)
        result = _run(job, files) if paths else _without_file(job)
    return replace(result, seconds=time.monotonic() - started, added=added)


def _take_later_columns(job: LoadJob, files: list[Path]) -> dict[str, int]:
    """Give a table the columns that were declared since; each with how many of its rows got one of these values."""
    if not (names := later_columns.of(job.lakehouse, job.use_case, job.source)):
        return {}
    later_columns.expect(job.source, names)
    expected = references.expected_identifiers(job.lakehouse, job.use_case, job.source)
    batch = _read(job, files, expected, first=False, later=names) if files else None
    if batch is not None:
        schemas.record(job.schema_folder, job.source, batch.schema)
    return dict.fromkeys(names, later_columns.add(job, names, batch))


def _without_file(job: LoadJob) -> LoadResult:
    """An optional source without a file has an empty table, so that everything downstream has its source."""
    if not job.lakehouse.exists(job.table):
        identifiers = references.expected_identifiers(job.lakehouse, job.use_case, job.source)
        raw_commit.create(job, table_schema(job.source, identifiers))
    findings = (*contracts.findings({}, 0, {}), *load_warnings.nothing_loaded())
    return LoadResult(version=job.lakehouse.version(job.table), findings=findings)


@dataclass(frozen=True)
class Judged:
    """What a load would do: the rows that it read, and what becomes of each."""

    batch: Batch
    table: Table
    outcomes: RowOutcomes
    identifiers: Mapping[str, str]
    """Types of the identifier columns of the table, with those of the other columns found."""


def judge(job: LoadJob, files: list[Path]) -> Judged:
    """Read files and decide about their rows; nothing is written.

    Raises InputError if a file cannot be used, SchemaChanged if its columns are not those accepted before.
    """
    loaded_in = raw_commit.loads(job)
    expected = references.expected_identifiers(job.lakehouse, job.use_case, job.source)
    batch = _read(job, files, expected, first=not loaded_in)
    job.report(1)
    table = Table(job.lakehouse, job.use_case, job.source, batch.versioned, loaded_in)
    outcomes = row_outcomes.decide(job, batch, table)
    return Judged(batch, table, outcomes, {**batch.schema.columns, **expected})


def _run(job: LoadJob, files: list[Path]) -> LoadResult:
    loaded_in, memory = raw_commit.loads(job), Memory(job.lakehouse.settings.state, job.use_case, job.source)
    stamps = stamped(files)
    recalled = memory.recall(
        job.identity(stamps), loaded_in=loaded_in, as_of=job.as_of, now=job.now, references=job.reference_versions()
    )
    if recalled is not None:
        return _unchanged(job, recalled)
    try:
        judged = judge(job, files)
    except SchemaChanged as changed:
        schemas.record(job.schema_folder, job.source, changed.schema, pending=True)
        raise
    batch, outcomes = judged.batch, judged.outcomes
    job.report(2)
    _quarantine(job, batch, outcomes)
    job.report(3)
    version = raw_commit.commit(job, batch, outcomes.new, judged.identifiers, judged.table)
    result = _result(job, batch, outcomes, version)
    # A second correction at one moment waits for a later one; days that were not asked for wait too.
    if job.days is None and TOO_SOON not in result.quarantined:
        done, versions = _done(job, batch, outcomes, result), job.reference_versions()
        memory.remember(job.identity(stamps), done, waiting=outcomes.waiting, references=versions)
    job.report(4)
    return result


def _unchanged(job: LoadJob, recalled: Remembered) -> LoadResult:
    result = recalled.result
    findings = contracts.findings(recalled.tally, result.rows_read, result.quarantined)
    version = job.lakehouse.version(job.table)
    return replace(result, version=version, findings=(*findings, *load_warnings.nothing_loaded()))


def _read(
    job: LoadJob, files: list[Path], expected: Mapping[str, str], first: bool, later: Sequence[str] = ()
) -> Batch:
    """later: columns that were not declared when the schema of the files was recorded."""
    source = job.source
    carried = [s for s in job.use_case.sources if s.carried_by == source.name]
    declared = [name for s in carried for c in s.columns for name in c.file_names]
    inspected = inspection.inspect(source, files, job.names, expected, job.carrier, declared)
    batch = None if inspected.problems else read_batch(source, inspected, job.names, expected, job.now)
    found = batch.schema if batch else inspected.schema
    schemas.check(job.schema_folder, source, inspected, found, job.use_case.name, first=first, later=later)
    assert batch is not None, "a check of files with problems raises"
    references.check_types(source, batch, expected)
    batch = as_stored(source, batch, partial(references.stored_values, job.lakehouse, job.use_case, source))
    if batch.frame.is_empty() and job.carrier is None:
        paths = ", ".join(map(str, files))
        raise InputError(f"{paths}: expected rows of {source.name}, found none; deliver the file again")
    return batch


def _quarantine(job: LoadJob, batch: Batch, outcomes: RowOutcomes) -> None:
    """Store the bad rows. Raises InputError if there are no others."""
    entries = [quarantine.entries(rows, batch.files, job.as_of) for rows in outcomes.bad if not rows.is_empty()]
    if entries:
        quarantine.append(job.lakehouse, job.table, pl.concat(entries))
    if has_no_good_row(batch, outcomes):
        raise quarantine.no_valid_rows(job.source, batch, outcomes.reasons, quarantine.table_of(job.table))


def has_no_good_row(batch: Batch, outcomes: RowOutcomes) -> bool:
    """Whether files hold rows, and only bad ones: such a load is refused."""
    return outcomes.good.is_empty() and not batch.frame.is_empty()


def _result(job: LoadJob, batch: Batch, outcomes: RowOutcomes, version: int | None) -> LoadResult:
    read, reasons = batch.frame.height, outcomes.reasons
    return LoadResult(
        rows_read=read,
        appended=outcomes.new.height,
        already_known=outcomes.choice.already_known,
        duplicates=outcomes.choice.duplicates,
        quarantined=dict(reasons),
        rows_quarantined=outcomes.rows_quarantined,
        unaccounted=read - outcomes.accounted,
        not_yet_known=outcomes.late.height,
        released=outcomes.released,
        days=tuple(outcomes.new[EVENT_DATE].unique().sort()),
        version=version,
        undeclared=batch.schema.undeclared,
        zone_assumed=batch.zone_assumed,
        known_at_event=outcomes.known_at_event,
        dates_alone=batch.dates_alone,
        findings=(*contracts.findings(outcomes.tally, read, reasons), *_shifts(job, outcomes.new)),
    )


def _shifts(job: LoadJob, new: pl.DataFrame) -> list[contracts.Finding]:
    """Warnings about the new rows against those of the weeks before."""
    if new.is_empty():
        return load_warnings.nothing_loaded()
    days = new[EVENT_DATE].unique().sort().to_list()
    current, before = load_warnings.reference_days(days)
    compared = [c.name for c in job.source.columns if c.kind in ("number", "integer") or c.nullable or c.optional]
    rows_before = stored_rows(job.lakehouse, job.table, [*compared, EVENT_DATE], [(EVENT_DATE, "in", before)])
    loaded = new.filter(pl.col(EVENT_DATE).is_in(current))
    per_day = rows_per_day(job.lakehouse, job.table)
    return load_warnings.findings(job.source, days, loaded, rows_before, per_day)


def _done(job: LoadJob, batch: Batch, outcomes: RowOutcomes, result: LoadResult) -> Remembered:
    """What is remembered of a load of whole files."""
    soon = pl.col(HAPPENED).is_between(pl.lit(job.now, UTC), pl.lit(LAST, UTC), closed="right")
    future = batch.frame.filter(soon)[HAPPENED].min()
    next_known = outcomes.late[KNOWN_AT].min()
    return Remembered(
        result=result,
        tally=outcomes.tally,
        loaded_in=raw_commit.loads(job),
        next_known_at=next_known if isinstance(next_known, datetime) else None,
        next_event=future if isinstance(future, datetime) else None,
    )
