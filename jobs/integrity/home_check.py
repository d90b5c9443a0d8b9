"""Everything of a home that can be damaged, checked in one go: thoroughly, or as quickly as every run can afford."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from jobs.integrity import models, table_files
from jobs.integrity.databases import check_databases
from jobs.integrity.finding import Finding, HomeDamaged
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase


def findings(lakehouse: Lakehouse, use_cases: Iterable[UseCase]) -> Iterator[Finding]:
    """All findings: every live file of every table is read, every bundle and exported model hashed."""
    yield from table_files.check_tables(lakehouse)
    solving = [use_case for use_case in use_cases if use_case.problem is not None]
    yield from check_databases(lakehouse.settings, solving[0].name if solving else "")
    for use_case in solving:
        yield from models.check_models(lakehouse.settings, use_case)


def refuse_damage(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Look for damage that shows without reading tables: files that are missing or of another size, models by hash.

    Of a warehouse in an object store the files are not asked for.
    Raises HomeDamaged with all findings.
    """
    quick = () if "://" in lakehouse.warehouse else table_files.check_tables(lakehouse, use_case, deep=False)
    of_models = () if use_case.problem is None else models.check_before_run(lakehouse.settings, use_case)
    if found := list(chain(quick, of_models)):
        raise HomeDamaged(found)
