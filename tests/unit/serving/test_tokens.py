"""Tokens of an issuer: what opens the server, what does not, and what happens when the issuer changes or fails."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from worlds.exported_models import export, made
from worlds.served import served
from worlds.token_issuer import AUDIENCE, Issuer, ec_key, issuing, jwk, rsa_key

from jobs import settings
from jobs.errors import Invalid
from jobs.settings import Settings
from serving.app import ServeOptions, application
from serving.oidc import issuer_keys, known_tokens
from serving.oidc.known_tokens import KnownTokens
from serving.oidc.tokens import Tokens
from serving.process import check_reachable
from serving.web import api_keys
from serving.web.access import Access
from serving.web.callers import Asked, Caller, Denied

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


@pytest.fixture
def home(issuer: Issuer, tmp_path: Any) -> Settings:
    given_ = {"EVERGREEN_OIDC_ISSUER": issuer.url, "EVERGREEN_OIDC_AUDIENCE": AUDIENCE}
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home"), **given_})


def of(tokens: Tokens, token: str) -> str:
    """Who sends a token and what it opens, or why it is refused."""
    found = tokens.caller(token)
    return found.message if isinstance(found, Denied) else f"{found.name}: {' '.join(found.scopes)}"


@pytest.mark.parametrize(("kid", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")])
def test_a_token_is_its_subject(home: Settings, issuer: Issuer, kid: str, algorithm: str) -> None:
    tokens = Tokens(home)
    assert of(tokens, issuer.token(kid, algorithm)) == "token till-7: read"
    assert of(tokens, issuer.token(kid, algorithm, aud=["other", AUDIENCE])) == "token till-7: read"


@pytest.mark.parametrize(("scope", "opens"), [
    ("read decide", "decide read"), ("openid evergreen:read profile", "read"),
    (["metrics", "evergreen:admin"], "metrics admin"), ("", ""), (None, ""), (7, ""), ({"read": 1}, ""),
    ([["read"], None], ""), ("READ evergreen:evergreen:read reader", ""),
])  # fmt: skip
def test_a_claim_says_what_a_token_opens(home: Settings, issuer: Issuer, scope: Any, opens: str) -> None:
    assert of(Tokens(home), issuer.token(scope=scope)) == f"token till-7: {opens}"


def test_another_claim_may_say_it(issuer: Issuer, home: Settings) -> None:
    variables = {"EVERGREEN_OIDC_ISSUER": issuer.url, "EVERGREEN_OIDC_AUDIENCE": AUDIENCE}
    named = settings.load({"EVERGREEN_HOME": str(home.home), "EVERGREEN_OIDC_SCOPES": "roles", **variables})
    assert of(Tokens(named), issuer.token(roles=["decide"])) == "token till-7: decide"


@pytest.mark.parametrize(("claims", "found"), [
    ({"exp": -31}, "has expired"), ({"nbf": 60}, "is not valid yet"), ({"iat": 3_600}, "is not valid yet"),
    ({"aud": "another"}, "for another audience"), ({"aud": [AUDIENCE + "x"]}, "for another audience"),
    ({"iss": "https://another"}, "of another issuer"), ({"exp": None}, "without one of"),
    ({"aud": None}, "without one of"),     ({"iss": None}, "without one of"), ({"sub": None}, "without one of"),
    ({"sub": 7}, "did not sign"),     ({"sub": ""}, "cannot be printed"), ({"sub": "a\nb"}, "cannot be printed"),
    ({"sub": "x" * 201}, "cannot be printed"),
    ({"exp": "soon"}, "did not sign"), ({"exp": float("inf")}, "did not sign"), ({"exp": 1e400}, "did not sign"),
])  # fmt: skip
def test_a_token_that_does_not_hold_is_refused(
    home: Settings, issuer: Issuer, claims: dict[str, Any], found: str
) -> None:
    moments = {name: time.time() + after for name, after in claims.items() if name in ("nbf", "iat")}
    if claims.get("exp") == -31:
        moments["exp"] = time.time() - 31
    assert found in of(Tokens(home), issuer.token(**(claims | moments)))


def test_clocks_may_differ_by_half_a_minute(home: Settings, issuer: Issuer) -> None:
    now = time.time()
    assert of(Tokens(home), issuer.token(exp=now - 20, nbf=now + 20)) == "token till-7: read"


def part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that whoever knows the public keys can make."""
    good = issuer.token(scope="admin")
    claims, signature = good.split(".")[1:]
    public = issuer.keys["rsa"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hs256 = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{claims}"
    mac = hmac.new(public, hs256.encode(), hashlib.sha256).digest()
    stranger = rsa_key()
    claimed = jwt.decode(good, options={"verify_signature": False})
    own = {"kid": "rsa", "jwk": jwk("rsa", stranger), "jku": "http://127.0.0.1:1/keys"}
    return {
        "no algorithm": f"{part({'alg': 'none', 'kid': 'rsa'})}.{claims}.",
        "no signature": f"{good.rpartition('.')[0]}.",
        "HMAC of the public key": f"{hs256}.{part(mac)}",
        "other claims": f"{good.split('.')[0]}.{part(claimed | {'sub': 'boss'})}.{signature}",
        "another key of that name": jwt.encode(claimed, stranger, "RS256", {"kid": "rsa"}),
        "a key that it brings along": jwt.encode(claimed, stranger, "RS256", own),
        "the algorithm of another key": jwt.encode(claimed, ec_key(), "ES256", {"kid": "rsa"}),
        "an algorithm that is not allowed": jwt.encode(claimed, issuer.keys["rsa"], "RS512", {"kid": "rsa"}),
        "no name of a key": jwt.encode(claimed, issuer.keys["rsa"], "RS256"),
        "a number for a name": f"{part({'alg': 'RS256', 'kid': 7})}.{claims}.{signature}",
        "what must be understood": jwt.encode(claimed, issuer.keys["rsa"], "RS256", own | {"crit": ["x"], "x": 1}),
        "deep": f"{part(b'[' * 10_000)}.{claims}.{signature}",
        "large": good + "A" * 20_000,
    }  # fmt: skip


def test_what_the_issuer_did_not_sign_is_refused(home: Settings, issuer: Issuer) -> None:
    tokens = Tokens(home)
    assert of(tokens, issuer.token()) == "token till-7: read"
    for name, token in forged(issuer).items():
        assert "found one that it did not sign" in of(tokens, token), name


@given(st.text(max_size=80) | st.lists(st.binary(max_size=40).map(part), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused(token: str) -> None:
    home = settings.load({"EVERGREEN_OIDC_ISSUER": "http://127.0.0.1:1", "EVERGREEN_OIDC_AUDIENCE": AUDIENCE})
    assert isinstance(Tokens(home).caller(token), Denied)


def test_weak_and_foreign_keys_open_nothing(home: Settings, issuer: Issuer) -> None:
    issuer.keys |= {"small": rsa_key(1_024), "wide": ec_key(ec.SECP384R1())}
    listed = [jwk(kid, key) for kid, key in issuer.keys.items()]
    encrypting = jwk("encrypting", issuer.keys["rsa"]) | {"use": "enc"}
    fixed = jwk("fixed", issuer.keys["rsa"]) | {"alg": "PS256"}
    secret = {"kty": "oct", "kid": "secret", "k": part(b"x" * 32)}
    odd = [None, 7, {}, {"kid": "x"}, {"kid": "y", "kty": "RSA"}, {"kid": "z", "kty": "EC", "crv": "P-256", "x": 1}]
    issuer.documents["/keys"] = {"keys": [*odd, *listed, encrypting, fixed, secret]}
    issuer.keys |= {"encrypting": issuer.keys["rsa"], "fixed": issuer.keys["rsa"]}
    tokens = Tokens(home)
    assert of(tokens, issuer.token("fixed", "PS256")) == "token till-7: read"
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        weak = issuer.token("small")
    for token in (weak, issuer.token("encrypting"), issuer.token("fixed", "RS256"), issuer.token("wide", "ES384")):
        assert "did not sign" in of(tokens, token)
    hs256 = jwt.encode({"sub": "x"}, b"x" * 32, "HS256", {"kid": "secret"})
    assert "did not sign" in of(tokens, hs256)


class Clock:
    """The clock of the keys, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def keys_of(issuer: Issuer, clock: Clock) -> issuer_keys.IssuerKeys:
    return issuer_keys.IssuerKeys(issuer.url, clock)


def test_a_new_key_is_fetched_and_a_withdrawn_one_forgotten(issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(issuer, clock)
    assert keys.get("rsa") and keys.missing("next") is False  # asked a moment ago
    issuer.keys = {"next": rsa_key()}
    assert keys.get("next") is None
    clock.now += issuer_keys.PAUSE_SECONDS
    assert keys.missing("next") and keys.get("next") and keys.get("rsa") is None


def test_however_many_names_are_tried_the_issuer_is_asked_twice_a_minute(issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(issuer, clock)
    for number in range(300):
        keys.get(f"guess {number}")
        clock.now += 0.2
    assert issuer.asked == [DISCOVERY, "/keys"] * 2


def test_known_keys_go_on_while_the_issuer_is_down(issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(issuer, clock)
    assert keys.get("rsa")
    issuer.up = False
    clock.now += issuer_keys.FRESH_SECONDS + 1
    asked = len(issuer.asked)
    assert keys.get("rsa")
    wait_until(lambda: len(issuer.asked) > asked and not keys._fetching.locked())
    assert keys.get("rsa") and keys.get("other") is None


def test_old_keys_are_fetched_again_meanwhile(issuer: Issuer) -> None:
    clock = Clock()
    keys = keys_of(issuer, clock)
    assert keys.get("rsa")
    issuer.keys = {"next": rsa_key()}
    clock.now += issuer_keys.FRESH_SECONDS + 1
    assert keys.get("rsa")  # this request does not wait
    wait_until(lambda: keys.get("rsa") is None and keys.get("next") is not None)


def wait_until(condition: Any) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(("path", "said"), [
    (DISCOVERY, None), (DISCOVERY, b"{"), (DISCOVERY, b"[" * 100_000), (DISCOVERY, []), (DISCOVERY, b" " * 2**21),
    (DISCOVERY, {"issuer": "https://another", "jwks_uri": "https://another/keys"}), ("/keys", None), ("/keys", []),
    ("/keys", {"keys": []}), ("/keys", {"keys": {"kid": "rsa"}}), ("/keys", {"keys": "rsa"}), ("/keys", {"keys": 7}),
    ("jwks_uri", "http://198.51.100.1/keys"), ("jwks_uri", "file:///etc/passwd"),
    ("jwks_uri", None), ("jwks_uri", "//["),
])  # fmt: skip
def test_an_issuer_that_says_something_else_opens_nothing(
    home: Settings, issuer: Issuer, caplog: pytest.LogCaptureFixture, path: str, said: Any
) -> None:
    document = {"issuer": issuer.url, path: said} if path == "jwks_uri" else said
    issuer.documents[DISCOVERY if path == "jwks_uri" else path] = document
    assert "did not sign" in of(Tokens(home), issuer.token())
    assert "expected" in caplog.text and "found" in caplog.text


def test_redirects_are_not_followed(home: Settings, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.documents["/elsewhere"] = issuer.document("/keys")
    issuer.moved["/keys"] = f"{issuer.url}/elsewhere"
    assert "did not sign" in of(Tokens(home), issuer.token())
    assert "302" in caplog.text and issuer.asked == [DISCOVERY, "/keys"]


def test_the_server_lets_tokens_and_keys_in_and_nobody_else(home: Settings, issuer: Issuer, tmp_path: Any) -> None:
    export(home, 3, made(tmp_path / "bundle"))
    key = api_keys.add(home, "shop", ["read"], NOW)
    about = "/v2/models/fraud"
    with served(application(home, ServeOptions(("fraud",)))) as address, httpx.Client(base_url=address) as client:

        def status(**headers: str) -> int:
            return client.get(about, headers=headers).status_code

        for header in (f"Bearer {issuer.token()}", f"bearer {issuer.token('ec', 'ES256')}", f"Bearer {key}"):
            assert status(authorization=header) == 200
        assert status(authorization=f"Bearer {issuer.token(scope='decide')}") == 403
        assert [status(), status(authorization="Bearer x.y.z"), status(**{"x-api-key": issuer.token()})] == [401] * 3
        api_keys.remove(home, "shop", NOW)
        assert status() == 401  # without any key, the issuer still says who may ask


def test_a_known_token_is_believed_for_a_minute_and_no_longer_than_it_holds() -> None:
    clock, caller = Clock(), Caller("token till-7", ())
    known = KnownTokens(clock)
    known.keep("short", caller, clock.now + 20)
    known.keep("long", caller, clock.now + 3_600)
    assert known.get("short") is caller and known.get("long") is caller and known.get("other") is None
    clock.now += 21
    assert known.get("short") is None and known.get("long") is caller
    clock.now += 40
    assert known.get("long") is None
    clock.now -= 3_600  # a clock that is stepped back makes nothing hold for longer
    assert known.get("long") is None and known.get("short") is None


def test_many_tokens_need_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_tokens, "MOST_TOKENS", 3)
    known = KnownTokens(Clock())
    for number in range(9):
        known.keep(f"token {number}", Caller(str(number), ()), 2_000)
    assert [number for number in range(9) if known.get(f"token {number}")] == [6, 7, 8]


def test_a_known_token_asks_for_no_signature(home: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, token = Tokens(home), issuer.token()
    assert of(tokens, token) == "token till-7: read"
    monkeypatch.setattr(tokens, "_keys", None)
    assert of(tokens, token) == "token till-7: read" and not tokens.waits(token)


def test_a_request_waits_for_the_issuer_only_when_it_must(home: Settings, issuer: Issuer) -> None:
    access = Access(home)
    asked = Asked("read", "127.0.0.1", f"Bearer {issuer.token()}")
    assert access.waits(asked) and not access.waits(Asked(None, "", asked.authorization))
    assert not access.waits(Asked("read", "", "Bearer x")) and not access.waits(Asked("read", "", api_key="x.y.z"))
    found = access.admitted(asked)
    assert isinstance(found, Caller) and (found.name, found.scopes) == ("token till-7", ("read",))
    assert not access.waits(asked)


def test_an_issuer_opens_the_server_to_other_machines(home: Settings) -> None:
    check_reachable(home, "0.0.0.0")


@pytest.mark.parametrize("url", [
    "http://issuer.example", "https://user:c4n4ry@issuer.example", "https://issuer.example/?a=c4n4ry", "https://",
    "https://issuer.example/#c4n4ry", "ftp://127.0.0.1",
])  # fmt: skip
def test_an_issuer_without_tls_or_with_more_than_a_place_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="EVERGREEN_OIDC_ISSUER: expected https://host/path") as refused:
        settings.load({"EVERGREEN_OIDC_ISSUER": url, "EVERGREEN_OIDC_AUDIENCE": AUDIENCE})
    assert "c4n4ry" not in str(refused.value)


def test_an_issuer_needs_an_audience() -> None:
    with pytest.raises(Invalid, match=r"EVERGREEN_OIDC_AUDIENCE: expected whom tokens .* found nothing"):
        settings.load({"EVERGREEN_OIDC_ISSUER": "https://issuer.example"})
    with pytest.raises(Invalid, match="EVERGREEN_OIDC_AUDIENCE: expected a name"):
        settings.load({"EVERGREEN_OIDC_ISSUER": "https://issuer.example", "EVERGREEN_OIDC_AUDIENCE": "a b"})
