"""One hash over inputs, code and table versions: where it equals that of the last finished run, nothing is new."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.ingest.input_files import stamp
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.settings import ROOT, Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase

CODE = ("jobs", "assets", "orchestration")


def _code(settings: Settings) -> Iterable[Path]:
    for folder in (*(ROOT / name for name in CODE), settings.feature_repo):
        yield from sorted(folder.rglob("*.py"))
    for pattern in ("*.sql", "*.yml"):
        yield from sorted(settings.dbt_project.rglob(pattern))


def of_run(lakehouse: Lakehouse, use_case: UseCase, files: Iterable[Path], parameters: Mapping[str, Any]) -> str:
    """Hash of all that a run follows from: files (path, size, time), code, versions, decisions, what was asked."""
    stats = [(str(f), *stamp(f)) for f in sorted(_flat(files))]
    code = [(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in _code(lakehouse.settings)]
    tables = [t for t in find_tables(lakehouse.warehouse) if t.split(".")[0].startswith(use_case.name)]
    # A model that a person has approved or taken back since must be exported.
    decided = promotions.last_decision(lakehouse.settings, use_case)
    content = [stats, code, lakehouse.versions(tables), sorted(parameters.items()), decided]
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
