"""Addresses that alerts are sent to: URLs and hosts, checked before anything is sent. What is sent does not belong
here."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from jobs.errors import Invalid
from jobs.secret import Url

ANSWER_SECONDS = 10.0
"""Time that a receiver has for each answer."""


def split(name: str, address: Url | None, expected: str) -> SplitResult:
    """The parts of a channel's URL. Raises ValueError, which does not show the URL, if it is none."""
    url = "" if address is None else address.reveal()
    # urlsplit would silently drop a line break.
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise Invalid(f"{name}: expected {expected}, found spaces or other characters that no URL has; encode them")
    parts = urlsplit(url)
    try:
        reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        reachable = False
    if not reachable:
        raise Invalid(f"{name}: expected {expected}, found no host or no valid port after {parts.scheme}://")
    return parts
