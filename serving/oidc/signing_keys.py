"""The keys that an issuer signs tokens with now, by OpenID Connect Discovery 1.0 and RFC 7517.

Only keys of RSA from 2,048 bits on and of the curve P-256 count, for signatures of RS256, PS256 and ES256: never one
that could be taken for the secret of an HMAC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from jobs.loopback import is_loopback
from serving.oidc.documents import IssuerFailed, fetched

DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = {"RSA": ("RS256", "PS256"), "EC": ("ES256",)}
SMALLEST_RSA = 2_048
MOST_KEYS = 100


@dataclass(frozen=True)
class SigningKey:
    """A public key, and the algorithms that it may have signed with."""

    key: RSAPublicKey | EllipticCurvePublicKey
    algorithms: tuple[str, ...]


def current(issuer: str) -> Mapping[str, SigningKey]:
    """The keys of an issuer by their `kid`. Raises IssuerFailed if it does not name any that can be used."""
    about = fetched(issuer.rstrip("/") + DISCOVERY)
    named = about.get("issuer") if isinstance(about, dict) else None
    if named != issuer:
        raise IssuerFailed(f"{issuer}: expected it to call itself so, found {named!r}; correct EVERGREEN_OIDC_ISSUER")
    place = str(about.get("jwks_uri"))
    if not _trusted(place, issuer):
        raise IssuerFailed(f"{issuer}: expected a jwks_uri of https, found {place!r}; correct the issuer")
    document = fetched(place)
    found = document.get("keys") if isinstance(document, dict) else None
    listed = found[:MOST_KEYS] if isinstance(found, list) else ()
    keys = {each["kid"]: key for each in listed if (key := _usable(each)) is not None}
    if not keys:
        raise IssuerFailed(f"{place}: expected keys of RSA or P-256 with a kid, found none; correct the issuer")
    return keys


def _trusted(place: str, issuer: str) -> bool:
    """Whether nobody between can change what is fetched; an issuer of this machine may be asked without TLS."""
    try:
        parts = urlsplit(place)
    except ValueError:
        return False
    local = urlsplit(issuer).scheme == "http" and is_loopback(parts.hostname or "")
    return parts.scheme == "https" or (parts.scheme == "http" and local)


def _usable(jwk: Any) -> SigningKey | None:
    """The key of a JSON Web Key; None: it signs no token that is let in."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig":
        return None
    allowed = ALGORITHMS.get(str(jwk.get("kty")), ())
    algorithms = tuple(each for each in allowed if jwk.get("alg", each) == each)
    try:
        key = (ECAlgorithm if jwk["kty"] == "EC" else RSAAlgorithm).from_jwk(jwk) if algorithms else None
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size >= SMALLEST_RSA:
        return SigningKey(key, algorithms)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return SigningKey(key, algorithms)
    return None
