"""Everything of a home that can be damaged, checked in one go: thoroughly, or as quickly as every run can afford."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from jobs.integrity import models, state, stores, table_files
from jobs.integrity.databases import check_databases
from jobs.integrity.finding import Finding, HomeDamaged
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.use_case import UseCase


def findings(lakehouse: Lakehouse, use_cases: Sequence[UseCase]) -> Iterator[Finding]:
    """All findings, in the order in which they can be mended; every live file is read, every bundle hashed."""
    settings = lakehouse.settings
    solving = [use_case for use_case in use_cases if use_case.problem is not None]
    yield from check_databases(settings, solving[0].name if solving else "")
    for use_case in use_cases:
        yield from state.check_state(lakehouse, use_case)
    of_models = [found for use_case in solving for found in models.check_models(settings, use_case)]
    yield from (found for found in of_models if not found.is_of_export)
    of_tables = sorted(table_files.check_tables(lakehouse), key=lambda found: not found.is_of_kept_rows)
    yield from of_tables
    yield from (found for found in of_models if found.is_of_export)
    yield from stores.check_stores(lakehouse, solving)


def refuse_damage(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Look for damage that shows without reading tables: files that are missing or of another size, models by hash,
    databases by their pages.

    Of a warehouse in an object store the files are not asked for.
    Raises HomeDamaged with all findings.
    """
    quick = () if "://" in lakehouse.warehouse else table_files.check_tables(lakehouse, use_case, deep=False)
    of_models = () if use_case.learned is None else models.check_before_run(lakehouse.settings, use_case)
    databases = check_databases(lakehouse.settings, use_case.name, deep=False)
    others = (found for found in databases if not found.is_of_decisions)
    if found := list(chain(others, quick, of_models)):
        raise HomeDamaged(found)


def refuse_damaged_bundles(settings: Settings, use_case: UseCase) -> None:
    """Look at the bundles in the home, before nothing is done: a run that uses one fetches it again.

    Raises HomeDamaged with all findings.
    """
    if found := list(models.check_bundles(settings, use_case)):
        raise HomeDamaged(found)
