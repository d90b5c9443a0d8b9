"""The rows that a raw table holds already, read only as far as asked. Nothing here writes to tables."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from jobs.ingest import day_digests
from jobs.ingest.day_digests import EVENT_DATE, Digests
from jobs.ingest.parsing import UTC
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import DELETED, TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source, UseCase


class Table:
    """One raw table as it was when the load began, with what is remembered of its days."""

    def __init__(
        self, lakehouse: Lakehouse, use_case: UseCase, source: Source, versioned: bool, loaded_in: int
    ) -> None:
        self.lakehouse, self.name = lakehouse, use_case.raw_table(source)
        self.loaded_in = loaded_in
        self._declared = [c.name for c in source.columns]
        self.columns = list(dict.fromkeys([*self._declared, KNOWN_AT]))
        self.content = [*self._declared, *([KNOWN_AT] if versioned else [])]
        self.memory: Path = lakehouse.settings.state / use_case.name / "loads" / f"{source.name}.days.json"
        self.missing = not lakehouse.exists(self.name)
        """There is no such table yet."""
        self.empty = self.missing or (not loaded_in and not sum(rows_per_day(lakehouse, self.name).values()))
        """It holds no row, and its columns may still get other types."""
        remembered = day_digests.read(self.memory, table_id(lakehouse, self.name), loaded_in, self.content)
        self.digests: Digests = remembered or Digests(loaded_in, {}, complete=self.empty)

    def differing(self, rows: pl.DataFrame, content: Sequence[str]) -> list[date]:
        """Event dates of `rows` on which the table may not hold exactly the same content."""
        digests = day_digests.digest(rows, content)
        return sorted(day for day, day_digest in digests.items() if self.digests.of(day) != day_digest)

    def on(self, days: Sequence[date], content: Sequence[str]) -> pl.DataFrame:
        """Content of the rows with these event dates."""
        # A day known to be empty need not be looked for.
        to_read = [day for day in days if self.digests.of(day) != (0, 0)]
        stored_rows = self._read([(EVENT_DATE, "in", to_read)], [*content, EVENT_DATE], nothing=not to_read)
        self.digests = self.digests.replaced(to_read, day_digests.digest(stored_rows, content))
        return stored_rows.select(content)

    def of(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Rows with these keys, on whatever day."""
        first = keys.columns[0]
        low, high = keys[first].min(), keys[first].max()
        # The bounds let whole files be skipped; the join is what decides.
        stored_rows = self._read([(first, ">=", low), (first, "<=", high)], self.columns, nothing=low is None)
        return stored_rows.join(keys, on=keys.columns, how="semi")

    def over_topic(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of `rows`, which say when each became known, that came over a topic already: what the stream said of
        when they became known holds."""
        if KNOWN_AT not in self.content or TOPIC not in self._names:
            return rows.clear()
        days = rows[EVENT_DATE].unique().to_list()
        came = self._read([(TOPIC, "!=", ""), (EVENT_DATE, "in", days)], self._declared, nothing=not days)
        return rows.join(came, on=self._declared, how="semi", nulls_equal=True, maintain_order="left")

    @property
    def _names(self) -> list[str]:
        return [] if self.missing else list(self.lakehouse.schema(self.name).names)

    def _read(self, filters: list[tuple[str, str, Any]], columns: list[str], nothing: bool) -> pl.DataFrame:
        if nothing:
            return self._nothing(columns)
        rows = stored_rows(self.lakehouse, self.name, columns, filters)
        return rows.with_columns(pl.selectors.datetime().cast(UTC))

    def _nothing(self, columns: list[str]) -> pl.DataFrame:
        empty = self.lakehouse.schema(self.name).empty_table().select(columns)
        return pl.DataFrame(empty).with_columns(pl.selectors.datetime().cast(UTC))

    def keep(self, new: pl.DataFrame, loaded_in: int) -> None:
        """Remember the days as they are after `new` was appended by load `loaded_in`."""
        digests = self.digests.after(loaded_in, day_digests.digest(new, self.content))
        day_digests.write(self.memory, table_id(self.lakehouse, self.name), digests, self.content)


def stored_rows(lakehouse: Lakehouse, table: str, columns: Sequence[str], filters: Any = None) -> pl.DataFrame:
    """Rows of a raw table that are no deletions, as far as `filters` (DNF, as in pyarrow) keep them."""
    if DELETED not in lakehouse.schema(table).names:
        return pl.DataFrame(lakehouse.to_arrow(table, columns=columns, filters=filters))
    rows = pl.DataFrame(lakehouse.to_arrow(table, columns=[*columns, DELETED], filters=filters))
    return rows.filter(~pl.col(DELETED).fill_null(False)).drop(DELETED)


def table_id(lakehouse: Lakehouse, table: str) -> str:
    """What tells a table from one that was there before, or is elsewhere, under the same name; empty if none is."""
    return str(lakehouse.snapshot(table).metadata().id) if lakehouse.exists(table) else ""


def rows_per_day(lakehouse: Lakehouse, table: str) -> dict[date, int]:
    """Rows of each event date, counted from the log of a table that has daily partitions."""
    files, day = pl.DataFrame(lakehouse.snapshot(table).get_add_actions(flatten=True)), f"partition.{EVENT_DATE}"
    if day in files.columns:
        counts = files.group_by(pl.col(day).alias(EVENT_DATE)).agg(pl.col("num_records").sum())
    else:
        counts = pl.DataFrame(lakehouse.to_arrow(table, columns=[EVENT_DATE])).group_by(EVENT_DATE).len()
    return dict(counts.sort(EVENT_DATE).iter_rows())
