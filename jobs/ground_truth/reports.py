"""What was reported about events, and what of it holds at a moment: contradicted, withdrawn and repeated reports.

How long reports take is learned in `jobs.ground_truth.label_delay`, how much of a day's truth is in, in
`jobs.ground_truth.label_maturity`.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from jobs.arrays import Bools
from jobs.times import MICROSECONDS_A_DAY, NEVER, Times, microseconds

SILENCE = 1e-6
"""Chance of a gap without reports below which reporting is taken to have stopped at the last report."""
_LATELY = 28 * MICROSECONDS_A_DAY


@dataclass(frozen=True, eq=False)
class Labels:
    """What holds about events at a moment; one value per event, in the order of the ids asked for."""

    known_at: Times
    """When the verdict that holds was first reported; `NEVER` where nothing is known."""
    positive: Bools
    """Reported as positive; false where nothing is known."""
    unknown_events: int
    """Reported events that are none of those asked for."""


def labels(
    ids: ArrayLike,
    events: ArrayLike,
    known_at: Times,
    positive: Bools,
    as_of: datetime,
    superseded_at: Times | None = None,
) -> Labels:
    """What the reports say about the events `ids`, as known at `as_of`.

    A report holds in [known_at, superseded_at). Of several that hold the latest counts, of those at one moment the last
    row. A verdict is known since its first report, also if it was repeated or doubted in between, so that a repetition
    does not look like a late report.

    Args:
        ids: distinct ids, shape (rows,).
        events, known_at, positive, superseded_at: one value per report.

    Raises:
        ValueError: an id occurs twice, or arrays differ in length.
    """
    asked = pl.DataFrame({"id": np.asarray(ids)}).with_row_index("place")
    if asked["id"].n_unique() < asked.height:
        raise ValueError(f"ids: expected distinct events, found {asked['id'].n_unique()} in {asked.height} rows; unify")
    until = np.full(len(known_at), NEVER) if superseded_at is None else superseded_at
    rows = pl.DataFrame({"id": np.asarray(events), "at": known_at, "positive": positive, "until": until})
    found = _holding(rows.with_columns(pl.col("id").cast(asked["id"].dtype)), microseconds(as_of))
    joined = asked.join(found, on="id", how="left").sort("place")
    return Labels(
        joined["at"].fill_null(NEVER).to_numpy(),
        joined["positive"].fill_null(False).to_numpy(),
        found.join(asked, on="id", how="anti").height,
    )


def reported_until(known_at: Times, as_of: datetime) -> int:
    """Until when reports can be said to have come in, in microseconds UTC: `as_of`, or the last report if what follows
    it is a silence too long for chance.

    Reports come at random at the rate of the four weeks before the last one (a Poisson process). After an outage labels
    do not ripen, however old their events grow.
    """
    now = microseconds(as_of)
    reports = known_at[known_at <= now]
    if not len(reports):
        return now
    last = int(reports.max())
    since = max(last - _LATELY, int(reports.min()))
    rate = (reports > since).sum() / max(last - since, MICROSECONDS_A_DAY)
    return last if np.exp(-rate * (now - last)) < SILENCE else now


def _holding(rows: pl.DataFrame, moment: int) -> pl.DataFrame:
    """One row per event of which a report holds: id, at, positive."""
    known = rows.filter(pl.col("at") <= moment).sort("at", maintain_order=True)
    latest = known.filter(pl.col("until") > moment).unique("id", keep="last").select("id", "positive")
    first = known.group_by("id", "positive").agg(pl.col("at").min())
    return latest.join(first, on=["id", "positive"])
