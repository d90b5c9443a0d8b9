"""Text that is safe to send: on one line, without control characters and without secrets. For delivery see
`jobs.alerts.channels`."""

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from jobs.settings import Settings

HIDDEN = "***"
SHORTEST_SECRET = 4
_CREDENTIALS = re.compile(r"(\w://[^\s/?#@:]*:)\S+@")
"""`scheme://user:password@`, up to the last "@" of a word."""


def secrets(settings: Settings) -> tuple[str, ...]:
    """Every secret of the settings, as written and as decoded, longest first. Those of fewer than `SHORTEST_SECRET`
    letters are left out, as they would hide half the text."""
    urls = (
        settings.alert_email,
        settings.ledger_url,
        settings.predictions_url,
        settings.online_store_url,
        settings.tuning_url,
        settings.tracking,
    )
    # Of a chat's webhook the path is the password.
    webhook = (settings.alert_webhook or "").partition("://")[2]
    parts = {webhook, settings.alert_webhook_secret, *(_password(url) for url in urls)}
    written = {secret for secret in parts if secret and len(secret) >= SHORTEST_SECRET}
    return tuple(sorted(written | {unquote(secret) for secret in written}, key=len, reverse=True))


def _password(url: str | None) -> str | None:
    """The password of a URL; None if it has none."""
    try:
        return urlsplit(url or "").password
    except ValueError:
        return None


def line(text: object, hidden: tuple[str, ...] = (), longest: int = 2000) -> str:
    """`text` as one printable line of at most `longest` characters, with every secret replaced.

    Every character that can break a line (U+2028 included) becomes a space, so that neither a header nor a log line
    can be forged; what UTF-8 cannot hold becomes a question mark.
    """
    safe = str(text)
    for secret in hidden:
        safe = safe.replace(secret, HIDDEN)
    safe = _CREDENTIALS.sub(rf"\1{HIDDEN}@", safe).encode("utf-8", "replace").decode()
    safe = " ".join("".join(letter if letter.isprintable() else " " for letter in safe).split())
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def plain(value: Any, hidden: tuple[str, ...] = ()) -> Any:
    """`value` as strict JSON holds it, texts without secrets: mappings, lists, numbers; other things as their text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {line(name, hidden): plain(inner, hidden) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner, hidden) for inner in value]
    if type(value).__module__ == "numpy":
        return plain(value.tolist(), hidden)
    return line(value, hidden)
