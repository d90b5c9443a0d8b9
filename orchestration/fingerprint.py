"""One hash over inputs, code and table versions: where it equals that of the last finished run, nothing is new."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs import project_file
from jobs.ingest.input_files import stamp
from jobs.lakehouse import dbt_models
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.settings import ROOT, Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase
from orchestration.same_names import CODE


def _code(settings: Settings) -> Iterable[Path]:
    for folder in (*(ROOT / name for name in CODE), settings.feature_repo):
        yield from sorted(folder.rglob("*.py"))
    yield from project_file.modules(settings.project, settings.home) if settings.project else ()
    for pattern in dbt_models.PARSED:
        yield from sorted(settings.dbt_project.rglob(pattern))


def given(settings: Settings, files: Iterable[Path], parameters: Mapping[str, Any]) -> list[Any]:
    """What a run is given: files (path, size, time), code, what was asked.

    Taken before a run, also for the fingerprint after it: what changes a file meanwhile is new to the next run.
    """
    stats = [(str(f), *stamp(f)) for f in sorted(_flat(files))]
    code = [(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in _code(settings)]
    return [stats, code, sorted(parameters.items())]


def of_run(lakehouse: Lakehouse, use_case: UseCase, before: Sequence[Any]) -> str:
    """Hash of all that a run follows from: what was `given` before it, versions of tables and decisions now."""
    tables = [table for table in find_tables(lakehouse.warehouse) if use_case.owns(table)]
    # A model that a person has approved or taken back since must be exported.
    decided = promotions.last_decision(lakehouse.settings, use_case)
    content = [*before, lakehouse.versions(tables), decided]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _flat(files: Iterable[Path]) -> Iterable[Path]:
    for file in files:
        yield from (p for p in file.rglob("*") if p.is_file()) if file.is_dir() else (file,)


def _path(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "last_run.json"


def last(settings: Settings, use_case: UseCase) -> dict[str, Any]:
    """What `remember` wrote about the last finished run ({} if there was none)."""
    return read_memory(_path(settings, use_case), _record) or {}


def _record(stored: Any) -> dict[str, Any]:
    datetime.fromisoformat(stored["as_of"])
    return {**stored, "run_id": str(stored["run_id"]), "fingerprint": str(stored["fingerprint"])}


def remember(settings: Settings, use_case: UseCase, record: Mapping[str, Any]) -> None:
    """Write what the next run compares itself with."""
    replace_json(_path(settings, use_case), record)
