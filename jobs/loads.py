"""Which files a raw table holds wholly already, so that an unchanged input costs nothing.

Only a memory: without it a load finds out by reading the files.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.files import ColumnNames
from jobs.use_case import Source, UseCase

KEPT = 50


def identity(files: Sequence[Path], names: ColumnNames, source: Source, carried: bool) -> str:
    """Changes with the files (path, size, modification time) and with how they are to be read."""
    stats = [(str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    told = repr(
        (
            stats,
            names.timezone,
            sorted((k, sorted(v.items())) for k, v in names.names.items()),
            source,
            carried,
        )
    )
    return hashlib.sha256(told.encode()).hexdigest()


def _path(state: Path, use_case: UseCase, source: Source) -> Path:
    return state / use_case.name / "loads" / f"{source.name}.json"


def recall(
    state: Path,
    use_case: UseCase,
    source: Source,
    load: str,
    *,
    loaded_in: int,
    as_of: datetime,
    now: datetime,
    references: Mapping[str, int | None],
) -> dict[str, Any] | None:
    """The remembered result of loading these files, if doing it again would bring nothing.

    `loaded_in` is the number of the table's last load, `references` the versions of the tables referred to.
    """
    memory = _read(_path(state, use_case, source))
    entry: dict[str, Any] | None = memory["loads"].get(load)
    if entry is None or entry["loaded_in"] > loaded_in:
        return None
    if memory["waiting"] and memory["references"] != dict(references):
        return None
    brings = (entry["next_known_at"] and as_of.isoformat() >= entry["next_known_at"]) or (
        entry["next_event"] and now.isoformat() >= entry["next_event"]
    )
    return None if brings else entry


def remember(
    state: Path,
    use_case: UseCase,
    source: Source,
    load: str,
    entry: Mapping[str, Any],
    *,
    waiting: int,
    references: Mapping[str, int | None],
) -> None:
    path = _path(state, use_case, source)
    loads = {
        **{k: v for k, v in _read(path)["loads"].items() if k != load},
        load: dict(entry),
    }
    memory = {
        "loads": dict(list(loads.items())[-KEPT:]),
        "waiting": waiting,
        "references": dict(references),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(memory))
    temporary.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        memory: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {"loads": {}, "waiting": 0, "references": {}}
    return memory
