"""Tokens of an OpenID Connect issuer (RFC 7519, RFC 8725): who sends one, and what it opens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from jobs.settings import Settings
from serving.oidc.issuer_keys import IssuerKeys
from serving.oidc.known_tokens import KnownTokens
from serving.web.api_keys import SCOPES
from serving.web.callers import OF_TOKEN, Caller, Denied

LEEWAY_SECONDS = 30
LONGEST = 16_384
"""Letters of a token."""
LONGEST_SUBJECT = 200
PREFIX = "evergreen:"
"""Before a scope, for issuers whose scopes are for several services."""
REQUIRED = ("iss", "aud", "sub", "exp")
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "one that has expired",
    jwt.ImmatureSignatureError: "one that is not valid yet",
    jwt.InvalidAudienceError: "one for another audience",
    jwt.InvalidIssuerError: "one of another issuer",
    jwt.MissingRequiredClaimError: f"one without one of {', '.join(REQUIRED)}",
}


class Tokens:
    """Tokens of the issuer that the settings name."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer and settings.oidc_audience
        self._issuer, self._audience, self._claim = settings.oidc_issuer, settings.oidc_audience, settings.oidc_scopes
        self._keys, self._known = IssuerKeys(self._issuer), KnownTokens()

    def waits(self, token: str) -> bool:
        """Whether keys have to be fetched to read a token, which may take seconds."""
        kid = None if self._known.get(token) else _kid(token)
        return kid is not None and self._keys.missing(kid)

    def caller(self, token: str) -> Caller | Denied:
        """Who sends a token, by its subject; or why it opens nothing."""
        return self._known.get(token) or self._verified(token)

    def _verified(self, token: str) -> Caller | Denied:
        kid = _kid(token)
        key = None if kid is None else self._keys.get(kid)
        if key is None:
            return self._denied("one that it did not sign")
        try:
            claims = jwt.decode(
                token, key.key, list(key.algorithms), {"require": list(REQUIRED)},
                audience=self._audience, issuer=self._issuer, leeway=LEEWAY_SECONDS,
            )  # fmt: skip
        except _MALFORMED as error:
            return self._denied(_REASONS.get(type(error), "one that it did not sign"))
        subject = claims["sub"]
        if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()):
            return self._denied("one whose subject cannot be printed")
        caller = Caller(f"{OF_TOKEN}{subject}", _scopes(claims.get(self._claim)))
        self._known.keep(token, caller, claims["exp"] + LEEWAY_SECONDS)
        return caller

    def _denied(self, found: str) -> Denied:
        return Denied(401, f"expected a token of {self._issuer} for {self._audience}, found {found}; ask for another")


def _kid(token: str) -> str | None:
    """The name of the key that a token says it is signed with; None: it is no token of ours."""
    if len(token) > LONGEST or token.count(".") != 2:
        return None
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except _MALFORMED:
        return None
    return kid if isinstance(kid, str) else None


def _scopes(claim: Any) -> tuple[Any, ...]:
    """The scopes that a claim names, parted by spaces or as a list; what else it names is for others."""
    listed = claim.split(" ") if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    named = {each.removeprefix(PREFIX) for each in listed if isinstance(each, str)}
    return tuple(scope for scope in SCOPES if scope in named)
