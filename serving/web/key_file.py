"""The keys of a home as a running server knows them: read again soon after their file changed."""

from __future__ import annotations

import time
from math import inf

from jobs.settings import Settings
from jobs.state_files import StateDamaged
from serving.web import api_keys
from serving.web.api_keys import ApiKey

LOOK_SECONDS = 0.2
"""How old a look at the file may be: looking before each of thousands of requests a second costs more than the keys."""


class KeyFile:
    """The file of keys: a key that is removed is refused soon, one that is added counts at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._place = settings, api_keys.place(settings)
        self._seen: object = None
        self._keys: tuple[ApiKey, ...] | None = ()
        self._looked = -inf

    def current(self) -> tuple[ApiKey, ...] | None:
        """The keys of a moment ago; None: the file is damaged, and nobody is to be let in."""
        return self._keys if time.monotonic() - self._looked < LOOK_SECONDS else self.latest()

    def latest(self) -> tuple[ApiKey, ...] | None:
        """The keys of now."""
        self._looked = time.monotonic()
        try:
            found = self._place.stat()
            seen: object = (found.st_ino, found.st_size, found.st_mtime_ns)
        except FileNotFoundError:
            seen = "none"
        except OSError:
            self._seen = self._keys = None
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
