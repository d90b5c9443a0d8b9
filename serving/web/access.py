"""Who may ask what: each request needs a scope, a key that opens it, and its turn.

A server without keys answers everybody of its own machine, if it listens there alone. Elsewhere it does not start
without keys (`serving.process`), and answers nobody once they are gone.
"""

from __future__ import annotations

from jobs.settings import Settings
from serving.web import api_keys
from serving.web.api_keys import SCOPES, ApiKey, Scope
from serving.web.callers import Asked, Caller, Denied
from serving.web.key_file import KeyFile
from serving.web.rate_limits import RateLimits, caller_at

BEARER = "bearer "
OPEN_PATHS = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Paths that orchestrators ask without a key: whether the server is there."""
EVERYBODY = Caller("everybody", ())
"""Who asks what needs no key."""


class Access:
    """The keys of a home, and the turns of those who ask.

    Args:
        alone: only this machine reaches the server.
    """

    def __init__(self, settings: Settings, limits: RateLimits | None = None, *, alone: bool = True) -> None:
        self._keys, self._limits, self._alone = KeyFile(settings), limits or RateLimits(), alone

    def admitted(self, asked: Asked) -> Caller | Denied:
        """Who asks, if the request may be answered, or why it is refused."""
        if asked.scope is None:
            return EVERYBODY
        caller = self._caller(asked)
        if isinstance(caller, Denied):  # whoever guesses keys waits for a turn, too
            return self._late(Caller(caller_at(asked.address), ())) or caller
        if late := self._late(caller):
            return late
        if not caller.opens(asked.scope):
            return Denied(403, f"expected a key with the scope {asked.scope}, found one without; ask for such a key")
        return caller

    def _caller(self, asked: Asked) -> Caller | Denied:
        keys = self._keys.current()
        if keys is None:
            return Denied(503, "the keys of this server cannot be read; its log says why")
        if not keys and self._alone:
            return Caller(caller_at(asked.address), SCOPES)
        key = asked.api_key or _bearer(asked.authorization)
        if not key:
            return Denied(401, "expected a key in the header `Authorization: Bearer KEY` or `X-API-Key`, found none")
        found = api_keys.matching(keys, key)
        if found is None:
            return Denied(401, "expected a key of this server, found another; ask whoever runs it for one")
        return _of_key(found)

    def _late(self, caller: Caller) -> Denied | None:
        seconds = self._limits.wait(caller.name, caller.rate)
        if not seconds:
            return None
        found = f"{caller.name}: expected fewer requests a second, found more than its limit; ask again later"
        return Denied(429, found, seconds)


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a request of HTTP needs; None: it is answered without a key."""
    if path in OPEN_PATHS:
        return None
    if path == "/metrics":
        return "metrics"
    return "decide" if method == "POST" else "read"


def _of_key(key: ApiKey) -> Caller:
    return Caller(f"key {key.name}", key.scopes, key.rate)


def _bearer(authorization: str | None) -> str | None:
    if authorization and authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return None
