"""Versions of profiles that a table has gained between two of its versions, as the log tells them to servers."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from jobs.decisions import base_tables
from jobs.decisions.feature_row import ProfileColumns
from jobs.decisions.log_contents import ProfileCame
from jobs.decisions.profiles import ProfileTable
from jobs.lakehouse.tables import Lakehouse, VersionGone


def gained(lakehouse: Lakehouse, profile: ProfileColumns, before: tuple[int, int], now: int) -> Iterator[ProfileCame]:
    """What is new, in the order in which it becomes known, also if that is later than now.

    Args:
        before: version of the table that was read last, and one that is pinned, from which all is told again if the
            other one is gone; the log has a version of a profile once.

    What a table has lost since is not told: servers know it until they stand on newer tables.
    """
    if now == before[0]:
        return
    new = _in(lakehouse, profile, now)
    added = new.join(_before(lakehouse, profile, *before), on=new.columns, how="anti", nulls_equal=True)
    if added.is_empty():
        return
    table = added.with_columns(superseded_at=pl.lit(None, pl.Datetime("us", "UTC"))).to_arrow()
    found = ProfileTable.of(profile, _plain(table))
    for row in range(len(found.facts)):
        yield found.came(row)


def _before(lakehouse: Lakehouse, profile: ProfileColumns, last: int, pinned: int) -> pl.DataFrame:
    try:
        return _in(lakehouse, profile, last)
    except (VersionGone, DeltaError, OSError):
        return _in(lakehouse, profile, pinned)


def _in(lakehouse: Lakehouse, profile: ProfileColumns, version: int) -> pl.DataFrame:
    """Without when they are superseded, which changes no feature."""
    table = base_tables.read_profiles(lakehouse, profile, {profile.table: version}).drop_columns(["superseded_at"])
    return pl.DataFrame(table)


def _plain(table: pa.Table) -> pa.Table:
    """Texts as tables have them, where Polars has texts of its own."""
    types = {pa.string_view(): pa.string(), pa.large_string(): pa.string()}
    return table.cast(pa.schema([field.with_type(types.get(field.type, field.type)) for field in table.schema]))
