"""How what is written from tables is mended: it is written again, and what was damaged lies beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobs.feature_store import materialization, served_views, store
from jobs.integrity import table_files
from jobs.integrity.databases import ONLINE_STORE, PREDICTIONS, RUNS, aside, damaged_files
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log, publish
from jobs.settings import Settings
from jobs.use_case import UseCase


def predictions(lakehouse: Lakehouse, use_cases: Sequence[UseCase]) -> list[str]:
    """Publish every day of the prediction logs anew; returns what was done, as sentences."""
    done = _set_aside(lakehouse.settings, PREDICTIONS)
    for use_case in use_cases:
        log = prediction_log.table(use_case)
        days = sorted(day for day in lakehouse.files_by_day(log) if day) if lakehouse.exists(log) else []
        if days:
            publish.forget(lakehouse, use_case)
            rows = publish.publish(lakehouse, use_case, days)
            done.append(f"{use_case.name}: {sum(rows.values()):,} predictions of {len(rows)} days were published again")
    return done


def online_store(lakehouse: Lakehouse, moments: Sequence[tuple[UseCase, datetime | None]]) -> list[str]:
    """Write the online store anew, of each use case as known at its moment; None, or a damaged feature table: its next
    run does that.

    Returns what was done, as sentences.
    """
    settings, done = lakehouse.settings, _set_aside(lakehouse.settings, ONLINE_STORE)
    registry = settings.home / "feast" / "registry.db"
    if registry.exists() and not store.is_whole(registry):
        done.append(f"what was damaged lies in {aside(registry)}")
    for use_case, as_of in moments:
        (settings.state / use_case.name / "online.json").unlink(missing_ok=True)
        if as_of is not None:
            done += _materialized(lakehouse, use_case, as_of)
    return done


def _materialized(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> list[str]:
    """What was written of a use case; nothing while its feature tables are damaged, as their repair runs it."""
    there = find_tables(lakehouse.warehouse)
    served = [view.table for view in served_views.beside_windows(lakehouse, use_case)]
    tables = [table for table in (*map(use_case.window_table, use_case.windows), *served) if table in there]
    if damaged := [table for table in tables if any(table_files.check_table(lakehouse, table, deep=True))]:
        return [f"{use_case.name}: the run that mends {', '.join(damaged)} writes the online store again"]
    views = materialization.materialize(lakehouse, use_case, as_of)
    return [f"{view}: {what}" for view, what in views.items()]


def runs(settings: Settings) -> list[str]:
    """Set damaged databases of Dagster's aside: runs go on without the history in them. Returns what was done."""
    return _set_aside(settings, RUNS)


def _set_aside(settings: Settings, name: str) -> list[str]:
    return [f"what was damaged lies in {aside(file)}" for file in damaged_files(settings, name)]
