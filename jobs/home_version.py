"""The version of what a home holds. A newer Evergreen upgrades a home; an older one leaves a newer home alone.

An upgrade is a function in `UPGRADES` under the version that it leads to; it may be killed, and is then done again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.errors import EvergreenError
from jobs.settings import Settings
from jobs.state_files import file_lock, read_state, replace_json

HOME_VERSION = 1
"""Raised whenever stored data changes so that an older Evergreen would misread it."""
UPGRADES: dict[int, Callable[[Settings], None]] = {1: lambda _: None}
"""Version -> what makes a home of the version before it one of this. Homes of before versions were written are 0."""


class HomeTooNew(EvergreenError, RuntimeError):
    """A newer Evergreen has written this home."""


def upgrade(settings: Settings) -> None:
    """Bring a home to `HOME_VERSION`; a home that does not exist yet is not made. Raises HomeTooNew."""
    if not _is_home(settings) or checked(str(settings.home), of_home(settings)) == HOME_VERSION:
        return
    with file_lock(settings.home / "locks" / "version.lock"):
        for version in range(of_home(settings) + 1, HOME_VERSION + 1):
            UPGRADES[version](settings)
            replace_json(_file(settings), {"version": version})


def of_home(settings: Settings) -> int:
    """The version of a home; 0 if none was written."""
    return read_state(_file(settings), _version, "run again") or 0


def checked(place: str, version: int) -> int:
    """The version. Raises HomeTooNew, with the place of what has it, if this Evergreen does not know it."""
    if version > HOME_VERSION:
        raise HomeTooNew(
            f"{place}: expected a home of version {HOME_VERSION} or older, found version {version}, which a newer "
            "Evergreen wrote; use that Evergreen, or point EVERGREEN_HOME at another folder"
        )
    return version


def _file(settings: Settings) -> Path:
    return settings.home / "version.json"


def _version(content: Any) -> int:
    version = content["version"]
    if type(version) is not int or version < 0:
        raise ValueError(version)
    return version


def _is_home(settings: Settings) -> bool:
    return any((settings.home / name).exists() for name in ("version.json", "dagster", "state", "warehouse"))
