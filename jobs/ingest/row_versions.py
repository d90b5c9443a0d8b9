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


@dataclass(frozen=True)
class Versioning:
    """What tells rows of one load apart, and from when on they are known."""

    source: Source
    versioned: bool
    """The rows bear the time at which each became known, so that one key may have several versions."""
    as_of: datetime
    """The moment of the load: a correction without a time of its own is known from here on."""

    @property
    def content(self) -> list[str]:
        """Columns that make two rows the same row."""
        return [*(c.name for c in self.source.columns), *([KNOWN_AT] if self.versioned else [])]

    @property
    def identity(self) -> list[str]:
        """Columns of which each combination may have one content."""
        return [*self.source.key, *([KNOWN_AT] if self.versioned else [])]


def choose(rows: pl.DataFrame, wanted: pl.Expr, versioning: Versioning, stored: Stored | None) -> Choice:
    """Decide about those of `rows` that are `wanted`, in the light of all of them and of what is `stored`.

    `rows` are the sound rows of all files of one load, known at its `as_of`. Of rows with one identity but different
    content the first by event time, then by position is the one that counts. Without versions, a key whose stored
    content the files no longer hold was corrected, which is known from `as_of` on.
    """
    distinct, repeated = _distinct(rows, versioning)
    requested = distinct.filter(wanted)
    fresh = requested if stored is None else _not_stored(requested, versioning, stored)
    already_known = requested.height - fresh.height
    duplicates = rows.filter(wanted).height - requested.height if repeated is not None else 0
    contested = _contested(fresh, repeated, versioning, stored)
    if contested is None:
        return Choice(fresh, with_reasons(fresh.clear(), [], []), duplicates, already_known)
    plain = fresh.join(contested, on=versioning.identity, how="anti", maintain_order="left")
    disputed = fresh.join(contested, on=versioning.identity, how="semi", maintain_order="left")
    rivals = distinct.join(contested, on=versioning.identity, how="semi", maintain_order="left")
    keys = contested.select(versioning.source.key).unique()
    judged = _judge(disputed, rivals, stored.of(keys) if stored is not None else rivals.clear(), versioning)
    accepted = judged.filter(pl.col("_verdict") == "").drop("_verdict", REASONS, COLUMNS)
    refused = judged.filter(pl.col("_verdict") != "").drop("_verdict")
    return Choice(pl.concat([plain, accepted]), refused, duplicates, already_known)


def _distinct(rows: pl.DataFrame, versioning: Versioning) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows without exact repetitions, and the identities that repeat (None if none does)."""
    identity = versioning.identity
    times = rows.group_by(identity).len() if len(identity) > 1 else None
    unique = times.height if times is not None else rows[identity[0]].n_unique()
    if unique == rows.height:
        return rows, None
    distinct = rows.unique(versioning.content, keep="first", maintain_order=True)
    repeated = distinct.group_by(identity).len().filter(pl.col("len") > 1).select(identity)
    return distinct, repeated


def _not_stored(rows: pl.DataFrame, versioning: Versioning, stored: Stored) -> pl.DataFrame:
    content = versioning.content
    days = stored.differing(rows, content)
    to_compare = rows.filter(pl.col(EVENT_DATE).is_in(days))
    stored_rows = stored.on(days, content)
    if stored_rows.is_empty():
        return to_compare
    return to_compare.join(stored_rows, on=content, how="anti", nulls_equal=True, maintain_order="left")


def _contested(
    fresh: pl.DataFrame, repeated: pl.DataFrame | None, versioning: Versioning, stored: Stored | None
) -> pl.DataFrame | None:
    """Identities of fresh rows that are in the table with other content, or repeat within the load."""
    if fresh.is_empty():
        return None
    identity = versioning.identity
    parts = [] if repeated is None else [fresh.select(identity).join(repeated, on=identity, how="semi")]
    if stored is not None:
        stored_rows = stored.of(fresh.select(versioning.source.key).unique())
        parts.append(fresh.select(identity).join(stored_rows.select(identity), on=identity, how="semi"))
    earlier = pl.concat(parts).unique() if parts else None
    return None if earlier is None or earlier.is_empty() else earlier


def _judge(disputed: pl.DataFrame, rivals: pl.DataFrame, before: pl.DataFrame, versioning: Versioning) -> pl.DataFrame:
    """Disputed rows with `_verdict`: empty if accepted, else the reason.

    `rivals` are the rows of the load with their identities, `before` the stored rows with their keys.
    """
    identity, as_of = versioning.identity, pl.lit(versioning.as_of, UTC)
    first = rivals.sort(versioning.source.event_time, ROW).unique(identity, keep="first").select(ROW, _first=True)
    latest = before.group_by(identity).agg(_latest=pl.col(KNOWN_AT).max())
    repeats = rivals.join(before.select(versioning.content), on=versioning.content, how="semi", nulls_equal=True)
    repeats = repeats.select(identity).unique().with_columns(_repeats=True)
    judged = disputed.join(first, on=ROW, how="left", maintain_order="left")
    for per_identity in (latest, repeats):
        judged = judged.join(per_identity, on=identity, how="left", maintain_order="left")
    corrects = pl.col("_latest").is_not_null()
    refused = pl.col("_repeats").is_not_null() | pl.col("_first").is_null() | (versioning.versioned & corrects)
    too_soon = corrects & (pl.col("_latest") >= as_of)
    verdict = pl.when(refused).then(pl.lit(DUPLICATE_KEY)).when(too_soon).then(pl.lit(TOO_SOON)).otherwise(pl.lit(""))
    known_at = pl.col(KNOWN_AT) if versioning.versioned else pl.when(corrects).then(as_of).otherwise(pl.col(KNOWN_AT))
    judged = judged.with_columns(verdict.alias("_verdict"), known_at.alias(KNOWN_AT))
    judged = judged.with_columns(
        pl.concat_list("_verdict").alias(REASONS),
        pl.lit(pl.Series([list(versioning.source.key)])).first().alias(COLUMNS),
    )
    return judged.drop("_first", "_latest", "_repeats")
