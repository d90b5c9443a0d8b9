"""The keys of a home as a running server knows them: read again when their file changes."""

from __future__ import annotations

from jobs.settings import Settings
from jobs.state_files import StateDamaged
from serving.web import api_keys
from serving.web.api_keys import ApiKey


class KeyFile:
    """The file of keys, asked before each request: keys that are added or removed count from the next one on."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._place = settings, api_keys.place(settings)
        self._seen: object = None
        self._keys: tuple[ApiKey, ...] | None = ()

    def current(self) -> tuple[ApiKey, ...] | None:
        """The keys; None: the file is damaged, and nobody is to be let in."""
        try:
            found = self._place.stat()
            seen: object = (found.st_ino, found.st_size, found.st_mtime_ns)
        except FileNotFoundError:
            seen = "none"
        except OSError:
            return None
        if seen != self._seen:
            self._keys = self._read()
            self._seen = seen
        return self._keys

    def _read(self) -> tuple[ApiKey, ...] | None:
        try:
            return api_keys.stored(self._settings)
        except (StateDamaged, OSError):
            return None
