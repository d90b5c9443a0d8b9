"""Reports about events, and which of them hold at a moment: some are contradicted, withdrawn or repeated.

How long reports take is learned in `jobs.ground_truth.label_delay`, how much of a day's truth is in, in
`jobs.ground_truth.label_maturity`.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from jobs.arrays import Bools
from jobs.errors import Invalid
from jobs.tasks.binary import BINARY
from jobs.tasks.task import Labels, Task
from jobs.times import MICROSECONDS_A_DAY, NEVER, Times, microseconds

OUTAGE_CHANCE = 1e-6
"""Chance of a gap without reports below which reporting is taken to have stopped at the last report."""
_RATE_PERIOD = 28 * MICROSECONDS_A_DAY
"""Time before the last report that the rate of reports is measured over."""


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """Labels that hold at a moment; one value per event, in the order of the ids asked for."""

    known_at: Times
    """Moments at which the labels that hold were first reported; `NEVER` without a report."""
    positive: Bools
    """Whether an event is reported as positive, or is labelled at all where the task has no positives; false without a
    report."""
    values: Labels
    """What each event is reported to be, as of `Task.unknown` without a report."""
    unknown_events: int
    """Number of reported events that are not among those asked for."""


def labels(
    ids: ArrayLike,
    events: ArrayLike,
    known_at: Times,
    values: Labels,
    as_of: datetime,
    superseded_at: Times | None = None,
    task: Task = BINARY,
) -> KnownLabels:
    """Labels of the events `ids` as of `as_of`, from all reports about them.

    A report holds in [known_at, superseded_at). Of several that hold the latest counts, of those at one moment the last
    row. A verdict is known since its first report, also if it was repeated or doubted in between, so that a repetition
    does not look like a late report.

    Args:
        ids: distinct ids, shape (rows,).
        events, known_at, values, superseded_at: one value per report.

    Raises:
        ValueError: an id occurs twice, or arrays differ in length.
    """
    asked = pl.DataFrame({"id": np.asarray(ids)})
    if asked["id"].n_unique() < asked.height:
        raise Invalid(f"ids: expected distinct events, found {asked['id'].n_unique()} in {asked.height} rows; unify")
    until = np.full(len(known_at), NEVER) if superseded_at is None else superseded_at
    rows = pl.DataFrame({"id": np.asarray(events), "at": known_at, "value": values, "until": until})
    holding = _holding(rows.with_columns(pl.col("id").cast(asked["id"].dtype)), microseconds(as_of))
    joined = asked.join(holding, on="id", how="left", maintain_order="left")
    reported = joined["value"].is_not_null().to_numpy()
    known = task.unknown(len(asked))
    known[reported] = joined["value"].drop_nulls().to_numpy()
    return KnownLabels(
        joined["at"].fill_null(NEVER).to_numpy(),
        known == 1 if task.name == "binary" else reported,
        known,
        # Both hold an event once.
        holding.height - joined["at"].count(),
    )


def reported_until(known_at: Times, as_of: datetime) -> int:
    """Moment that reporting has reached, in microseconds UTC: `as_of`, or the last report if the gap after it is too
    long for chance.

    Reports are taken to come at random at the rate of the four weeks before the last one (a Poisson process). During an
    outage labels do not mature, however old their events become.
    """
    now = microseconds(as_of)
    reports = known_at[known_at <= now]
    if not len(reports):
        return now
    last = int(reports.max())
    since = max(last - _RATE_PERIOD, int(reports.min()))
    rate = (reports > since).sum() / max(last - since, MICROSECONDS_A_DAY)
    return last if np.exp(-rate * (now - last)) < OUTAGE_CHANCE else now


def _holding(rows: pl.DataFrame, moment: int) -> pl.DataFrame:
    """One row per event of which a report holds: id, at, value."""
    known_rows = rows.filter(pl.col("at") <= moment)
    # Most events are reported once: there is nothing to choose.
    repeated = known_rows["id"].is_duplicated()
    once, several = known_rows.filter(~repeated), known_rows.filter(repeated).sort("at", maintain_order=True)
    latest = several.filter(pl.col("until") > moment).unique("id", keep="last").select("id", "value")
    first = several.group_by("id", "value").agg(pl.col("at").min())
    chosen = latest.join(first, on=["id", "value"]).select("id", "at", "value")
    return pl.concat([once.filter(pl.col("until") > moment).select("id", "at", "value"), chosen])
