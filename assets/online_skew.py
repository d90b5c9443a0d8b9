"""Features that the decision service decided from, against those that the lakehouse has of the same moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import mapping_table, markdown_table
from jobs.checks import online_skew as checks
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import StoreDown
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.checks.online_skew import OnlineSkew

NOTHING = "no online decisions yet (`evergreen serve`)"


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The skew of online decisions; none without a problem to solve."""
    return [] if use_case.learned is None else [_online_skew(use_case)]


def _online_skew(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_skew,
        deps=[keys.online_decisions, keys.events, keys.labels],
        checks=[checks.ONLINE_SKEW],
        kinds={"numpy"},
        description="Features of online decisions against those that the lakehouse's times make, cell by cell.",
    )
    def online_skew(lakehouse: dg.ResourceParam[Lakehouse]) -> dg.MaterializeResult[None]:
        try:
            found = checks.measure(lakehouse, use_case)
        except StoreDown as away:
            return dg.MaterializeResult(metadata={"notes": f"{away}: nothing is compared until it answers"})
        if found is None:
            return dg.MaterializeResult(metadata={"notes": NOTHING})
        return dg.MaterializeResult(metadata=_shown(use_case, found), check_results=results([checks.no_skew(found)]))

    return online_skew


def _shown(use_case: UseCase, found: OnlineSkew) -> dict[str, Any]:
    against = found.against
    of_labels = sum(count for name, count in against.differing.items() if name in use_case.label_features)
    causes = {
        "compared": against.cells,
        "reports known at other times": of_labels,
        "events known at other times": against.different - of_labels,
        "decisions in no table yet": against.in_no_table,
    }
    rows = [
        {
            "feature": each.feature, "share of decisions": found.share(each.rows), "median difference": each.size,
            "diagnosis": each.diagnosis or "unknown", "detail": each.detail,
        }
        for each in found.features
    ]  # fmt: skip
    return {
        "decisions": against.decisions,
        "share_of_cells_that_differ": against.different / max(against.cells, 1),
        "features_that_differ": len(rows),
        "differs_from_tables": mapping_table(causes, ("cause", "cells")),
        **({"differences": markdown_table(pa.Table.from_pylist(rows))} if rows else {}),
    }
