"""Who may ask what: each request needs a scope, a key or a token that opens it, and its turn.

A server without either answers everybody of its own machine, if it listens there alone. Elsewhere it does not start
without one of them (`serving.process`), and answers nobody once they are gone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from jobs.settings import Settings
from serving.web import api_keys, audit
from serving.web.api_keys import PREFIX, SCOPES, ApiKey, Scope
from serving.web.callers import Asked, Caller, Denied
from serving.web.key_file import KeyFile
from serving.web.rate_limits import MOST_CALLERS, RateLimits, caller_at

if TYPE_CHECKING:
    from serving.oidc.tokens import Tokens

BEARER = "bearer "
OPEN_PATHS = frozenset({
    "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready",
    "/", "/page/page.css", "/page/page.js", "/page/icon.svg",
})  # fmt: skip
"""Paths that need no key: whether the server is there, for orchestrators, and files of the page, which hold no data."""
ENTITIES = re.compile(r"/v1/[^/]+/entities/")
"""Begins the paths that tell what is known of one customer."""
REVIEWS = re.compile(r"/v1/[^/]+/reviews(/|$)")
"""Begins the paths of those who review events, and need nothing else."""
FOREIGN = (
    "expected a request of this machine, found one to another host's name, or one that a browser sends for another "
    "site; ask `localhost`, or make a key and send it"
)
EVERYBODY = Caller("everybody", ())
"""Who asks what needs no key."""


class Access:
    """The keys of a home, and the turns of those who ask.

    Args:
        alone: only this machine reaches the server.
    """

    def __init__(self, settings: Settings, limits: RateLimits | None = None, *, alone: bool = True) -> None:
        self._keys, self._limits, self._alone = KeyFile(settings), limits or RateLimits(), alone
        self._tokens, self._settings = _tokens(settings), settings

    def waits(self, asked: Asked) -> bool:
        """Whether `admitted` may take seconds, as it asks the issuer of a token for its keys."""
        token = _bearer(asked.authorization) if self._tokens and not asked.api_key else None
        return bool(self._tokens and asked.scope and token and self._tokens.waits(token))

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

    def kept(self, caller: Caller, asked: Asked) -> Caller | Denied:
        """The same, after the ledger took what an administrator asks (`Caller.administers`), which takes a while."""
        return audit.call(self._settings, caller, asked)

    def _caller(self, asked: Asked) -> Caller | Denied:
        keys = self._keys.current()
        if keys is None:
            return Denied(503, "the keys of this server cannot be read; its log says why")
        if not keys and self._alone and self._tokens is None:
            return Denied(403, FOREIGN) if asked.foreign else _neighbour(asked.address)
        bearer = _bearer(asked.authorization)
        key = asked.api_key or bearer
        if not key:
            return Denied(401, "expected a key in the header `Authorization: Bearer KEY` or `X-API-Key`, found none")
        if self._tokens and key == bearer and not key.startswith(PREFIX):
            return self._tokens.caller(key)
        found = api_keys.matching(keys, key) or api_keys.matching(self._keys.latest() or (), key)
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
    if ENTITIES.match(path):
        return "entities"
    if REVIEWS.match(path):
        return "review"
    return "read" if method in ("GET", "HEAD") else "decide"


@lru_cache(MOST_CALLERS)
def _neighbour(address: str) -> Caller:
    """Somebody of this machine, who may ask everything."""
    return Caller(caller_at(address), SCOPES)


@lru_cache(MOST_CALLERS)
def _of_key(key: ApiKey) -> Caller:
    return Caller(f"key {key.name}", key.scopes, key.rate)


def _tokens(settings: Settings) -> Tokens | None:
    if settings.oidc_issuer is None:
        return None
    from serving.oidc.tokens import Tokens  # imports the libraries of signatures

    return Tokens(settings)


def _bearer(authorization: str | None) -> str | None:
    if authorization and authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return None
