"""A little OpenID Connect issuer over HTTP, with keys of its own: honest unless a test says otherwise."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "evergreen-test"


@dataclass
class Issuer:
    """What an issuer says, which a test may change, and what it was asked."""

    url: str
    keys: dict[str, Any] = field(default_factory=dict)
    """Private keys by `kid`."""
    documents: dict[str, Any] = field(default_factory=dict)
    """Path -> what is answered there instead of the truth."""
    moved: dict[str, str] = field(default_factory=dict)
    """Path -> where it is redirected to."""
    asked: list[str] = field(default_factory=list)
    up: bool = True

    def document(self, path: str) -> Any:
        if path in self.documents:
            return self.documents[path]
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": [jwk(kid, key) for kid, key in self.keys.items()]} if path == "/keys" else None

    def token(self, kid: str = "rsa", algorithm: str = "RS256", **claims: Any) -> str:
        """A token of these claims; None leaves a claim out."""
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "till-7", "exp": time.time() + 300, "scope": "read", **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.keys[kid], algorithm, {"kid": kid})


def jwk(kid: str, key: Any) -> dict[str, Any]:
    """The public half of a key, as issuers publish it."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


def rsa_key(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer with a key of RSA and one of P-256, while it runs."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            said = issuer.document(self.path) if issuer.up else None
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            moved = issuer.moved.get(self.path)
            self.send_response(302 if moved else 404 if said is None else 200)
            if moved:
                self.send_header("location", moved)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}", {"rsa": rsa_key(), "ec": ec_key()})
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield issuer
        server.shutdown()
