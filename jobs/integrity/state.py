"""The small files of a home that nothing else holds: what was registered, and which columns were accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jobs.ingest import registered_inputs, schemas
from jobs.integrity.databases import aside
from jobs.integrity.finding import Finding
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.state_files import StateDamaged
from jobs.use_case import Source, UseCase


def check_state(lakehouse: Lakehouse, use_case: UseCase) -> Iterator[Finding]:
    """Findings in the registered input and the recorded columns of a use case."""
    settings = lakehouse.settings
    files = f"evergreen run --use-case {use_case.name} --{use_case.sources[0].input} FILE ..."
    try:
        loaded = {use_case.raw_table(source) for source in use_case.sources} & set(find_tables(lakehouse.warehouse))
        if loaded and registered_inputs.registered(settings, use_case) is None:
            yield Finding(f"input of {use_case.name}", f"expected the input of {min(loaded)}, found none", files)
    except StateDamaged as error:
        yield Finding(f"input of {use_case.name}", str(error).partition(";")[0], files)
    for file, text in _damaged_schemas(settings, use_case):
        mend = f"evergreen repair state --use-case {use_case.name}"
        yield Finding(f"columns of {use_case.name}", f"{file}: {text}", mend)


def mend_state(settings: Settings, use_case: UseCase) -> list[str]:
    """Set aside what the next load records again; returns what was done, as sentences."""
    return [f"{file} lies in {aside(file)}" for file, _ in list(_damaged_schemas(settings, use_case))]


def _damaged_schemas(settings: Settings, use_case: UseCase) -> Iterator[tuple[Path, str]]:
    folder = schemas.folder(settings.state, use_case)
    for source in use_case.sources:
        for pending in (False, True):
            if text := _damage(folder, source, pending):
                yield schemas.path(folder, source, pending), text


def _damage(folder: Path, source: Source, pending: bool) -> str | None:
    try:
        schemas.recorded(folder, source, pending=pending)
    except (StateDamaged, OSError):
        return "expected recorded columns, found something else"
    return None
