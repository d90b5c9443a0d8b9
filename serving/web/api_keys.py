"""API keys: made once, shown once, kept as hashes, with the scopes that each one opens.

A key is 32 random bytes, so that its SHA-256 can be kept as it is: there is nothing to guess that a slow hash would
protect. Which request needs which scope: see `serving.web.access`.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from jobs.errors import Invalid
from jobs.settings import Settings
from jobs.state_files import file_lock, read_state, replace_json
from serving.web import audit

Scope = Literal["decide", "read", "entities", "review", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "eg_"
LONGEST_NAME = 60


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept."""

    name: str
    sha256: str
    """Of the key, in hexadecimal."""
    scopes: tuple[Scope, ...]
    made_at: str
    """ISO moment."""
    rate: float | None = None
    """Requests a second that it may be used for; None: as many as the server grants everybody."""


def place(settings: Settings) -> Path:
    """The file of all keys, which its owner alone can read: in the home, or where `EVERGREEN_API_KEYS` says."""
    return settings.api_keys_file or settings.serving / "api_keys.json"


def stored(settings: Settings) -> tuple[ApiKey, ...]:
    """The keys of a home, in the order in which they were made. Raises StateDamaged if the file is damaged."""
    found = read_state(place(settings), _decoded, "make keys anew (`evergreen keys add`)")
    return found or ()


def add(settings: Settings, name: str, scopes: Sequence[Scope], now: datetime, rate: float | None = None) -> str:
    """Make a key, and return it: it is shown here only.

    Args:
        rate: requests a second, see `ApiKey`.

    Raises:
        Invalid: the name is taken, empty, too long, or holds what cannot be printed; or the rate is not above 0.
    """
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise Invalid(f"name of a key: expected 1 to {LONGEST_NAME} letters, found {name[:80]!r}; choose another")
    if not _possible(rate):
        raise Invalid(f"rate of a key: expected a number above 0, of requests a second, found {rate}; choose another")
    key = PREFIX + secrets.token_urlsafe(32)
    with _lock(settings):
        kept = stored(settings)
        if any(each.name == name for each in kept):
            raise Invalid(f"name of a key: {name!r} is taken; choose another, or remove that key first")
        audit.command(settings, "keys add", f"{name}: {_opened(scopes, rate)}", now)
        made = ApiKey(name, digest(key), tuple(dict.fromkeys(scopes)), now.isoformat(), rate)
        _keep(settings, (*kept, made))
    return key


def remove(settings: Settings, name: str, now: datetime) -> None:
    """Remove a key; servers refuse it within a second. Raises Invalid if there is none of that name."""
    with _lock(settings):
        kept = stored(settings)
        if all(each.name != name for each in kept):
            names = ", ".join(each.name for each in kept) or "no keys"
            raise Invalid(f"name of a key: expected one of those made, found {name!r}; there are {names}")
        audit.command(settings, "keys remove", name, now)
        _keep(settings, tuple(each for each in kept if each.name != name))


def _opened(scopes: Sequence[Scope], rate: float | None) -> str:
    return ", ".join(dict.fromkeys(scopes)) + ("" if rate is None else f"; {rate:g} requests a second")


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def matching(keys: Sequence[ApiKey], key: str) -> ApiKey | None:
    """The kept key that `key` is; every one is compared, in a time that does not depend on where they differ."""
    presented, found = digest(key), None
    for each in keys:
        if hmac.compare_digest(each.sha256, presented):
            found = each
    return found


def _lock(settings: Settings) -> Any:
    return file_lock(settings.home / "locks" / "api_keys.lock")


def _keep(settings: Settings, keys: Sequence[ApiKey]) -> None:
    place(settings).parent.mkdir(parents=True, exist_ok=True)
    replace_json(place(settings), {"keys": [asdict(key) for key in keys]}, private=True)


def _possible(rate: object) -> bool:
    return rate is None or (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0)


def _decoded(content: Any) -> tuple[ApiKey, ...]:
    keys = tuple(
        ApiKey(str(k["name"]), str(k["sha256"]), tuple(k["scopes"]), str(k["made_at"]), k.get("rate"))
        for k in content["keys"]
    )
    if not all(set(key.scopes) <= set(SCOPES) and _possible(key.rate) for key in keys):
        raise Invalid("keys: expected known scopes, and rates above 0")
    return keys
