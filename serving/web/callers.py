"""Who asks, and what a request says of that before anything else of it is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from serving.web.api_keys import Scope

OF_TOKEN = "token "
"""Begins the names of callers whom an issuer names."""
CALLER = "evergreen.caller"
"""Where the guard leaves a request's `Caller` in its ASGI scope."""


class Asked(NamedTuple):
    """A request, as far as it matters for whether it is answered."""

    scope: Scope | None
    """What it needs; None: it is answered without a key."""
    address: str
    """Of the client, without a port."""
    authorization: str | None = None
    """The header of that name, `Bearer KEY`."""
    api_key: str | None = None
    """The header `X-API-Key`, another place for the key."""
    action: str = ""
    """Method and path, for the ledger."""
    foreign: bool = False
    """Whether a browser sends it for a page of another site."""


@dataclass(frozen=True)
class Caller:
    """Somebody whose requests may be answered."""

    name: str
    """Of the key, or where the request came from: `key shop`, `address 127.0.0.1`."""
    scopes: Collection[Scope]
    rate: float | None = None
    """Requests a second; None: what the server grants everybody."""

    def opens(self, scope: Scope) -> bool:
        """Whether a request that needs a scope may be answered; `admin` opens all."""
        return scope in self.scopes or "admin" in self.scopes

    def administers(self, scope: Scope | None) -> bool:
        """Whether only the scope `admin` opens it, so that the ledger keeps it."""
        return scope is not None and (scope == "admin" or scope not in self.scopes)

    @property
    def person(self) -> str | None:
        """Who it is, as the issuer of a token says; None: somebody with a key, which several may share."""
        return self.name.removeprefix(OF_TOKEN) if self.name.startswith(OF_TOKEN) else None


@dataclass(frozen=True)
class Denied:
    """A request that is not answered."""

    status: int
    message: str
    retry_after: float | None = None
    """Seconds after which it may be asked again."""
