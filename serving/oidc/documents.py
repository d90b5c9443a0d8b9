"""JSON documents of an issuer, fetched from where it says and from nowhere else."""

from __future__ import annotations

import json
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from jobs.errors import EvergreenError
from jobs.loopback import is_loopback

SECONDS = 5.0
"""Time for one answer."""
MOST_BYTES = 2**20


class IssuerFailed(EvergreenError, RuntimeError):
    """An issuer does not answer, or not as OpenID Connect says."""


def fetched(url: str) -> Any:
    """The document at a URL. Raises IssuerFailed if there is none, or it is too large or no JSON."""
    # What is asked of this machine must not leave it through a proxy.
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
    try:
        with urllib.request.build_opener(_NoRedirects, *proxies).open(url, timeout=SECONDS) as answer:
            content = answer.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise IssuerFailed(f"{url}: expected at most {MOST_BYTES:,} bytes, found more; correct the issuer")
        return json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise IssuerFailed(f"{url}: expected JSON, found {error}; start the issuer, or correct its URL") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from the host that the issuer names."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None
