"""The keys of an issuer as a running server knows them: fetched when they are asked for, and kept when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from serving.oidc import signing_keys
from serving.oidc.documents import IssuerFailed
from serving.oidc.signing_keys import SigningKey

PAUSE_SECONDS = 30.0
"""Between two fetches at least, whatever tokens are sent."""
FRESH_SECONDS = 600.0
"""After this time keys are fetched again, so that one that the issuer withdrew opens nothing any more."""
LOG = logging.getLogger("evergreen.serve")


class IssuerKeys:
    """The keys of one issuer; may be asked from several threads."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer, self._clock = issuer, clock
        self._keys: Mapping[str, SigningKey] = {}
        self._asked_at = self._fetched_at = -float("inf")
        self._fetching = threading.Lock()

    def missing(self, kid: str) -> bool:
        """Whether a key is not known and may be fetched, which takes seconds if the issuer is slow."""
        return kid not in self._keys and self._may_ask()

    def get(self, kid: str) -> SigningKey | None:
        """A key by its name; None: the issuer has no such key, or it does not answer and has not been asked before."""
        known = self._keys.get(kid)
        if known is None:
            self._fetch()
            return self._keys.get(kid)
        if self._clock() - self._fetched_at > FRESH_SECONDS and self._may_ask() and not self._fetching.locked():
            threading.Thread(target=self._fetch, name="issuer keys", daemon=True).start()
        return known  # whoever finds keys to be old does not wait, and gets what was known

    def _may_ask(self) -> bool:
        return self._clock() - self._asked_at >= PAUSE_SECONDS

    def _fetch(self) -> None:
        """Ask the issuer, unless somebody else did a moment ago; whoever comes meanwhile waits for that answer."""
        with self._fetching:
            if not self._may_ask():
                return
            try:
                self._keys = signing_keys.current(self._issuer)
                self._fetched_at = self._clock()
            except IssuerFailed as error:
                LOG.warning("keys of tokens: %s", error)
            self._asked_at = self._clock()
