"""What becomes of every row of a load: into the table, into quarantine or out of it, or left for a later load.

Nothing is written here; the contract of a row, its versions and its references have modules of their own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from jobs.ingest import contracts, quarantine, references
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.load_job import LoadJob
from jobs.ingest.parsing import ROW, UTC, Batch
from jobs.ingest.raw_table import Table
from jobs.ingest.readers import FILE, FOUND, KNOWN_AT
from jobs.ingest.row_versions import Choice, Versioning, choose


@dataclass(frozen=True)
class RowOutcomes:
    """The rows of one load by what becomes of them."""

    good: pl.DataFrame
    """All rows that hold the contract, whenever they became known."""
    late: pl.DataFrame
    """Those of them, on the days to load, that are known only after the load's `as_of`."""
    bad: tuple[pl.DataFrame, ...]
    """Rows for quarantine: those that break the contract, contradict others, refer to what is unknown, or were known
    before the event that they are about."""
    new: pl.DataFrame
    """Rows to append."""
    released: int
    """Rows of `new` that waited in quarantine."""
    waiting: int
    """Rows left in quarantine until what they refer to arrives."""
    choice: Choice
    tally: Mapping[str, int]
    """Contract -> rows that broke it."""

    known_at_event: int
    """Rows of `new` that were known at the very moment of the event that they are about."""
    not_asked: int
    """Rows of days that were not to be loaded."""

    @property
    def rows_quarantined(self) -> int:
        """Rows that go to quarantine, each counted once."""
        return sum(rows.height for rows in self.bad)

    @property
    def accounted(self) -> int:
        """Rows of the batch of which it is known what became of them."""
        fresh = self.rows_quarantined + self.new.height - self.released
        return self.not_asked + fresh + self.late.height + self.choice.duplicates + self.choice.already_known

    @property
    def reasons(self) -> Counter[str]:
        """Reason -> rows that go to quarantine for it."""
        return sum((Counter(quarantine.reason_counts(rows)) for rows in self.bad), Counter[str]())


def decide(job: LoadJob, batch: Batch, table: Table) -> RowOutcomes:
    """What becomes of the rows of `batch`, in the light of what `table` and its quarantine hold."""
    source, is_known = job.source, pl.col(KNOWN_AT) <= pl.lit(job.as_of, UTC)
    checks = contracts.row_checks(source, batch.frame.columns, job.names.timezone, job.now)
    good, bad, tally = contracts.split(batch.frame, checks)
    good = good.select(*table.columns, ROW, FILE).with_columns(job.day.alias(EVENT_DATE))
    visible, stored = good.filter(is_known), None if table.empty else table
    came = table.over_topic(visible)
    visible = visible.join(came, on=ROW, how="anti", maintain_order="left")
    choice = choose(visible, job.wanted, Versioning(source, batch.versioned, job.as_of), stored)
    choice = replace(choice, already_known=choice.already_known + came.filter(job.wanted).height)
    values_found = batch.frame.select(ROW, pl.selectors.starts_with(FOUND))
    refused = choice.refused.join(values_found, on=ROW, how="left", maintain_order="left")
    fresh, orphans = references.split(job.lakehouse, job.use_case, source, choice.new)
    released, waiting = _release(job, visible, stored)
    placed = released.with_columns(pl.lit(0, fresh.schema[ROW]).alias(ROW), pl.lit(0, fresh.schema[FILE]).alias(FILE))
    arrived = pl.concat([fresh.select(placed.columns), placed])
    new, early, at_event = references.split_by_time(job.lakehouse, job.use_case, source, arrived)
    broken = bad.filter(job.wanted | _of_no_day(job))
    return RowOutcomes(
        good=good,
        late=good.filter(~is_known & job.wanted),
        bad=(broken, refused, orphans, early),
        new=new.drop(ROW, FILE),
        released=released.height,
        waiting=waiting + orphans.height,
        choice=choice,
        tally=tally | {"uniqueness": refused.height, "references": orphans.height, "known_after_event": early.height},
        known_at_event=at_event,
        not_asked=bad.height - broken.height + good.filter(~job.wanted).height,
    )


def _of_no_day(job: LoadJob) -> pl.Expr:
    """Whether a row belongs to no day that is ever loaded by itself."""
    return job.day.is_null() | contracts.too_old(job.source, job.source.event_time, job.now)


def _release(job: LoadJob, visible: pl.DataFrame, stored: Table | None) -> tuple[pl.DataFrame, int]:
    """Rows from quarantine that may go in now, and how many go on waiting."""
    source = job.source
    kinds = references.types(source, visible)
    waiting = visible.select(*kinds).clear()
    if source.references:
        waiting = quarantine.waiting(job.lakehouse, job.table, kinds)
    waiting = waiting.with_columns(job.day.alias(EVENT_DATE))
    if waiting.is_empty():
        return waiting, 0
    identity = list(dict.fromkeys([*source.key, KNOWN_AT]))
    if stored is not None:
        stored_rows = stored.of(waiting.select(source.key).unique())
        waiting = waiting.join(stored_rows, on=identity, how="anti", maintain_order="left")
    # A row that the files of this load hold too has been judged with them.
    waiting = waiting.join(visible, on=identity, how="anti", maintain_order="left")
    waiting = waiting.unique(identity, keep="first", maintain_order=True)
    released, still = references.split(job.lakehouse, job.use_case, source, waiting)
    return released.filter(pl.col(KNOWN_AT) <= pl.lit(job.as_of, UTC)), still.height
