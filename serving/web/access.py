"""Who may ask what: each request needs a scope, and a key that opens it.

A server without keys answers everybody who reaches it; it listens on loopback only (`serving.process`). Keys that are
added or removed count from the next request on.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.settings import Settings
from jobs.state_files import StateDamaged
from serving.web import api_keys
from serving.web.api_keys import ApiKey, Scope

BEARER = "bearer "
OPEN_PATHS = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Paths that orchestrators ask without a key: whether the server is there."""


@dataclass(frozen=True)
class Denied:
    """A request that is not answered."""

    status: int
    message: str


class Access:
    """The keys of a home, read again when their file changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._place = settings, api_keys.place(settings)
        self._seen: object = None
        self._keys: tuple[ApiKey, ...] | None = ()
        """None: the file is damaged, and nobody is let in."""

    def denied(self, scope: Scope | None, authorization: str | None, api_key: str | None) -> Denied | None:
        """Why a request for a scope is refused; None: it may be answered.

        Args:
            authorization: the header of that name, `Bearer KEY`.
            api_key: the header `X-API-Key`, another place for the key.
        """
        if scope is None:
            return None
        keys = self._current()
        if keys is None:
            return Denied(503, "the keys of this server cannot be read; its log says why")
        if not keys:
            return None
        key = api_key or _bearer(authorization)
        if not key:
            return Denied(401, "expected a key in the header `Authorization: Bearer KEY` or `X-API-Key`, found none")
        found = api_keys.matching(keys, key)
        if found is None:
            return Denied(401, "expected a key of this server, found another; ask whoever runs it for one")
        if not found.opens(scope):
            return Denied(403, f"expected a key with the scope {scope}, found one without; ask for such a key")
        return None

    def _current(self) -> tuple[ApiKey, ...] | None:
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


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a request of HTTP needs; None: it is answered without a key."""
    if path in OPEN_PATHS:
        return None
    if path == "/metrics":
        return "metrics"
    return "decide" if method == "POST" else "read"


def _bearer(authorization: str | None) -> str | None:
    if authorization and authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return None
