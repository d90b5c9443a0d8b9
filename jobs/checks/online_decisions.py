"""Whether decisions that were made online are what the batch kernel makes of the same facts, in every cell."""

from __future__ import annotations

import pyarrow.compute as pc

from jobs.checks.check import Check, Outcome
from jobs.decisions import base_tables, consistency, opened
from jobs.decisions.consistency import Comparison
from jobs.decisions.feeding import Fed
from jobs.decisions.shipping import Shipped
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.use_case import UseCase

EQUAL_BATCH = Check(
    "decisions_equal_batch",
    "Features of online decisions, computed again by the batch kernel with the log's stamps, are the same to the last "
    "bit.",
    blocking=True,
)
ALL_SHIPPED = Check(
    "decisions_all_shipped", "Each decision in the log of the service is in the prediction log, and is there once."
)
ALL_TOLD = Check(
    "facts_all_told",
    "Each event and report that the tables gained is one that decision servers can hold, and were told.",
)


def all_told(fed: Fed) -> Outcome:
    """ALL_TOLD of what was just told."""
    told = sum(fed.told.values())
    found = f"{told:,} facts told and {fed.refused:,} that they cannot hold"
    return ALL_TOLD.outcome(not fed.refused, "every fact told", found, told=told, refused=fed.refused)


def all_shipped(lakehouse: Lakehouse, use_case: UseCase, shipped: Shipped) -> Outcome:
    """ALL_SHIPPED of a log that was just shipped."""
    if not shipped.decisions:
        return ALL_SHIPPED.not_judged("no online decisions yet")
    online = [("origin", "in", prediction_log.OF_SERVICE)]
    stamps = lakehouse.to_arrow(prediction_log.table(use_case), columns=["scored_at"], filters=online)["scored_at"]
    different = pc.count_distinct(stamps).as_py()
    return ALL_SHIPPED.outcome(
        shipped.decisions == different == len(stamps),
        f"{shipped.decisions:,} rows, each of a stamp of its own",
        f"{len(stamps):,} rows of {different:,} stamps",
        decisions=shipped.decisions, rows=len(stamps), stamps=different,
    )  # fmt: skip


def compared(lakehouse: Lakehouse, use_case: UseCase) -> Comparison | None:
    """The decisions that stand on the current base; None if nothing was ever served."""
    if not opened.was_served(lakehouse.settings, use_case):
        return None
    with opened.log_of(lakehouse.settings, use_case) as log:
        base, _ = opened.last_base(log)
        if base is None:
            return None
        rows = base_tables.feature_row(lakehouse, use_case, base.tables)
        if opened.fingerprint(rows) != base.declarations:
            return None
        return consistency.compare(lakehouse, rows, base, log.records())


def judged(lakehouse: Lakehouse, use_case: UseCase) -> Outcome:
    """EQUAL_BATCH of what the log holds now."""
    try:
        return equal_batch(compared(lakehouse, use_case))
    except OSError as error:
        return EQUAL_BATCH.not_judged(str(error))


def equal_batch(found: Comparison | None) -> Outcome:
    """EQUAL_BATCH of a comparison."""
    if found is None or not found.decisions:
        return EQUAL_BATCH.not_judged("no online decisions since the service took its tables")
    told = ", ".join(f"{d.feature} of {d.id!r}" for d in found.examples[:3])
    return EQUAL_BATCH.outcome(
        not found.different,
        f"{found.cells:,} cells of {found.decisions:,} decisions as the batch kernel has them",
        f"{found.different:,} others ({told})" if found.different else "just that",
        decisions=found.decisions, cells=found.cells, different=found.different, undecided=found.undecided,
        stale=found.stale,
    )  # fmt: skip
