"""A home from a backup: written beside its place, checked file by file, and moved there once it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs import home_version, unfinished
from jobs.backups import archive
from jobs.backups.archive import BackupError, Reader

RESTORED = "input/restored"
"""Where input files of other places go whose place holds nothing on this machine."""


@dataclass
class Restored:
    """What was restored: when the backup was made, of which home, and input files that moved into the home."""

    made: str
    home: str
    files: int
    moved: dict[str, Path] = field(default_factory=dict)
    """Where an input file was -> where it is now."""


def restore(path: Path, home: Path) -> Restored:
    """Make `home` from a backup, whole or not at all.

    Raises:
        BackupError: there is a home already, or the archive is none, unfinished or damaged.
        HomeTooNew: a newer Evergreen made the backup.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BackupError(f"{home}: expected no home yet, found one; set EVERGREEN_HOME to a new folder")
    with archive.opened(path) as reader:
        home_version.checked(str(path), int(reader.about["home_version"]))
        place = home.resolve()  # a home may be known by the name of a link to it
        unfinished.sweep(place.parent)
        with unfinished.folder_beside(place) as beside:
            restored = _extract(reader, beside, home)
            beside.chmod(int(reader.about["home_mode"]) & 0o777)
            os.rename(beside, place)
        return restored


def _extract(reader: Reader, beside: Path, home: Path) -> Restored:
    moves = {
        file: f"{RESTORED}/{member.removeprefix('inputs/')}"
        for file, member in dict[str, str](reader.about["inputs"]).items()
        if not Path(file).exists()
    }
    places = {f"inputs/{place.removeprefix(RESTORED + '/')}": place for place in moves.values()}
    for name in reader.files:
        top, _, rest = name.partition("/")
        if top == "home":
            reader.extract(name, beside / rest)
        elif member := next((m for m in places if name == m or name.startswith(f"{m}/")), None):
            reader.extract(name, beside / (places[member] + name.removeprefix(member)))
    moved = {file: home / place for file, place in moves.items()}
    for file in beside.glob("state/*/inputs.json"):
        _register(file, moved)
    about = reader.about
    return Restored(str(about["made"]), str(about["home"]), len(reader.files), moved)


def _register(file: Path, moved: Mapping[str, Path]) -> None:
    """Name moved input files by where they are."""

    def now(path: str) -> str:
        table, at, version = path.rpartition("@")
        if path not in moved and at and table in moved:
            return f"{moved[table]}@{version}"
        return str(moved.get(path, path))

    content: dict[str, Any] = json.loads(file.read_text())
    content["files"] = {name: [now(path) for path in paths] for name, paths in content["files"].items()}
    content["given"] = {now(path): stamp for path, stamp in content.get("given", {}).items()}
    file.write_text(json.dumps(content, indent=1))
