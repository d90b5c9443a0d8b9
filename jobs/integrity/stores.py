"""What is written from tables, compared with them: the database of predictions and Feast's registry."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from jobs.feature_store import store
from jobs.integrity.databases import ONLINE_STORE, PREDICTIONS, damage_of, database_files
from jobs.integrity.finding import Finding
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import publish
from jobs.use_case import UseCase


def check_stores(lakehouse: Lakehouse, use_cases: Sequence[UseCase]) -> Iterator[Finding]:
    """Findings in whole databases that lack what was written into them."""
    for use_case in use_cases:
        yield from _check_predictions(lakehouse, use_case)
    registry = lakehouse.settings.home / "feast" / "registry.db"
    if registry.exists() and not store.is_whole(registry):
        found = "expected declarations of Feast, found something else"
        yield Finding(f"feature registry: {registry}", found, f"evergreen repair {ONLINE_STORE}")


def _check_predictions(lakehouse: Lakehouse, use_case: UseCase) -> Iterator[Finding]:
    """Days of which the database holds other numbers of rows than it recorded."""
    table, mend = publish.table_name(use_case), f"evergreen repair {PREDICTIONS}"
    for file in database_files(lakehouse.settings)[PREDICTIONS]:
        if not file.exists() or damage_of(file):
            continue
        query = (
            f'select days.day, days.rows, count(rows.event_date) from "{table}_days" days left join "{table}" rows '
            "on rows.event_date = days.day group by days.day, days.rows having count(rows.event_date) != days.rows"
        )
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            try:
                differing = connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                differing = []  # nothing of this use case was published
        for day, expected, found in differing:
            yield Finding(f"predictions: {day}", f"expected {expected:,} published rows, found {found:,}", mend)
