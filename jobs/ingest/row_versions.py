"""Which rows of a load are new: duplicates, corrections, versions, and rows that contradict what is known.

Pure functions over frames and a view of the raw table; appending: see `jobs.ingest.raw_commit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import polars as pl

from jobs.ingest.contracts import COLUMNS, REASONS, with_reasons
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.parsing import ROW, UTC
from jobs.ingest.readers import KNOWN_AT
from jobs.use_case import Source

DUPLICATE_KEY = "duplicate key with different content"
TOO_SOON = "corrected again at the same moment; load it with a later as_of"


class Stored(Protocol):
    """The rows that a raw table holds already (canonical columns and `known_at`)."""

    def differing(self, rows: pl.DataFrame, content: Sequence[str]) -> list[date]:
        """Event dates of `rows` on which the table may not hold exactly the same content."""

    def on(self, days: Sequence[date], content: Sequence[str]) -> pl.DataFrame:
        """Content of the rows with these event dates."""

    def of(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Rows with these keys, on whatever day."""


@dataclass(frozen=True)
class Choice:
    """What became of the sound rows of a load."""

    new: pl.DataFrame
    """To be appended, with their final `known_at`."""
    refused: pl.DataFrame
    """Rows that contradict others, with reasons."""
    duplicates: int
    """Exact repetitions within the load."""
    already_known: int
    """Rows that the table holds already."""


def choose(
    rows: pl.DataFrame,
    wanted: pl.Expr,
    source: Source,
    *,
    versioned: bool,
    as_of: datetime,
    stored: Stored | None,
) -> Choice:
    """Decide about those of `rows` that are `wanted`, in the light of all of them and of what is `stored`.

    `rows` are the sound rows of all files of one load, known at `as_of`; `versioned`: they say themselves when they
    became known. Of rows with one key (and `known_at`, if versioned) but different content the first by event time,
    then by position is the one that counts. Without versions, a key whose stored content the files no longer hold
    was corrected, which is known from `as_of` on.
    """
    content = [*(c.name for c in source.columns), *([KNOWN_AT] if versioned else [])]
    identity = [*source.key, *([KNOWN_AT] if versioned else [])]
    distinct, repeated = _distinct(rows, content, identity)
    asked = distinct.filter(wanted)
    fresh = asked if stored is None else _not_stored(asked, content, source, stored)
    known = asked.height - fresh.height
    duplicates = rows.filter(wanted).height - asked.height if repeated is not None else 0
    contested = _contested(fresh, repeated, identity, source, stored)
    if contested is None:
        return Choice(fresh, with_reasons(fresh.clear(), [], []), duplicates, known)
    plain = fresh.join(contested, on=identity, how="anti", maintain_order="left")
    disputed = fresh.join(contested, on=identity, how="semi", maintain_order="left")
    rivals = distinct.join(contested, on=identity, how="semi", maintain_order="left")
    before = stored.of(contested.select(source.key).unique()) if stored is not None else None
    judged = _judge(disputed, rivals, before, content, identity, source, versioned, as_of)
    accepted = judged.filter(pl.col("_verdict") == "").drop("_verdict", REASONS, COLUMNS)
    refused = judged.filter(pl.col("_verdict") != "").drop("_verdict")
    return Choice(pl.concat([plain, accepted]), refused, duplicates, known)


def _distinct(
    rows: pl.DataFrame, content: Sequence[str], identity: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows without exact repetitions, and the identities that repeat (None if none does)."""
    times = rows.group_by(identity).len() if len(identity) > 1 else None
    unique = times.height if times is not None else rows[identity[0]].n_unique()
    if unique == rows.height:
        return rows, None
    distinct = rows.unique(content, keep="first", maintain_order=True)
    repeated = distinct.group_by(identity).len().filter(pl.col("len") > 1).select(identity)
    return distinct, repeated


def _not_stored(rows: pl.DataFrame, content: Sequence[str], source: Source, stored: Stored) -> pl.DataFrame:
    days = stored.differing(rows, content)
    left = rows.filter(pl.col(EVENT_DATE).is_in(days))
    held = stored.on(days, content)
    if held.is_empty():
        return left
    return left.join(held, on=content, how="anti", nulls_equal=True, maintain_order="left")


def _contested(
    fresh: pl.DataFrame,
    repeated: pl.DataFrame | None,
    identity: Sequence[str],
    source: Source,
    stored: Stored | None,
) -> pl.DataFrame | None:
    """Identities of fresh rows that are in the table with other content, or repeat within the load."""
    if fresh.is_empty():
        return None
    parts = [] if repeated is None else [fresh.select(identity).join(repeated, on=identity, how="semi")]
    if stored is not None:
        held = stored.of(fresh.select(source.key).unique())
        parts.append(fresh.select(identity).join(held.select(identity), on=identity, how="semi"))
    earlier = pl.concat(parts).unique() if parts else None
    return None if earlier is None or earlier.is_empty() else earlier


def _judge(
    disputed: pl.DataFrame,
    rivals: pl.DataFrame,
    before: pl.DataFrame | None,
    content: Sequence[str],
    identity: Sequence[str],
    source: Source,
    versioned: bool,
    as_of: datetime,
) -> pl.DataFrame:
    """Disputed rows with `_verdict`: empty if accepted, else the reason."""
    first = rivals.sort(source.event_time, ROW).unique(identity, keep="first").select(ROW, _first=True)
    judged = disputed.join(first, on=ROW, how="left", maintain_order="left")
    if before is None:
        before = rivals.clear()
    latest = before.group_by(identity).agg(pl.col(KNOWN_AT).max().alias("_latest"))
    held = rivals.join(before.select(content), on=content, how="semi", nulls_equal=True).select(identity).unique()
    judged = judged.join(latest, on=identity, how="left", maintain_order="left")
    judged = judged.join(held.with_columns(_held=True), on=identity, how="left", maintain_order="left")
    stored = pl.col("_latest").is_not_null()
    instant = pl.lit(as_of, UTC)
    refused = pl.col("_held").is_not_null() | pl.col("_first").is_null() | (stored if versioned else False)
    too_soon = stored & (pl.col("_latest") >= instant)
    verdict = pl.when(refused).then(pl.lit(DUPLICATE_KEY)).when(too_soon).then(pl.lit(TOO_SOON)).otherwise(pl.lit(""))
    judged = judged.with_columns(verdict.alias("_verdict"))
    if not versioned:
        judged = judged.with_columns(pl.when(stored).then(instant).otherwise(pl.col(KNOWN_AT)).alias(KNOWN_AT))
    judged = judged.with_columns(
        pl.concat_list("_verdict").alias(REASONS),
        pl.lit(pl.Series([list(source.key)])).first().alias(COLUMNS),
    )
    return judged.drop("_first", "_latest", "_held")
