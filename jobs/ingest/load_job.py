"""The arguments of one load of one source, and what follows from them. The steps: see `jobs.ingest.load`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from jobs.ingest import references, schemas
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.load_memory import FileStamp, identity
from jobs.ingest.raw_table import table_id
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Progress, Source, UseCase

Days = tuple[date, date]


@dataclass(frozen=True)
class LoadJob:
    """One load: which source of which use case, up to which moment, on which days."""

    lakehouse: Lakehouse
    use_case: UseCase
    source: Source
    names: ColumnsFile
    carrier: Source | None
    """The source whose files hold this source's rows too."""
    as_of: datetime
    now: datetime
    days: Days | None
    """First and last event date to load; None: all."""
    progress: Progress | None

    @property
    def table(self) -> str:
        return self.use_case.raw_table(self.source)

    @property
    def partitions(self) -> list[str]:
        return [EVENT_DATE] if self.source.daily else []

    @property
    def schema_folder(self) -> Path:
        return schemas.folder(self.lakehouse.settings.state, self.use_case)

    @property
    def day(self) -> pl.Expr:
        """The event date of a row."""
        return pl.col(self.source.event_time).dt.date()

    @property
    def wanted(self) -> pl.Expr:
        """Whether a row is of the days to load."""
        return pl.lit(True) if self.days is None else self.day.is_between(*self.days)

    def identity(self, files: Sequence[FileStamp]) -> str:
        """What tells this load of `files` from others, see `jobs.ingest.load_memory`."""
        carried = self.carrier is not None
        return identity(table_id(self.lakehouse, self.table), files, self.names, self.source, carried)

    def reference_versions(self) -> dict[str, int | None]:
        """Versions of the tables that rows of the source refer to."""
        tables = {references.target(self.use_case, r)[0] for r in self.source.references.values()}
        return self.lakehouse.versions(sorted(tables))

    def report(self, step: int) -> None:
        """Say that `step` of the four steps of a load is done."""
        if self.progress:
            self.progress(step, 4)
