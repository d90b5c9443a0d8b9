"""Text that may leave the house: on one line, without control characters and without secrets. No delivery here."""

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from jobs.settings import Settings

HIDDEN = "***"
SHORTEST = 4
_CREDENTIALS = re.compile(r"(\w://[^\s/?#@:]*:)\S+@")
"""`scheme://user:password@`; rather too much than too little, if there are several "@"."""


def secrets(settings: Settings) -> tuple[str, ...]:
    """Every secret of the settings, as written and as decoded, longest first; shorter ones would hide half the text."""
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
    found = {webhook, settings.alert_webhook_secret, *(_password(url) for url in urls)}
    written = {secret for secret in found if secret and len(secret) >= SHORTEST}
    return tuple(sorted(written | {unquote(secret) for secret in written}, key=len, reverse=True))


def _password(url: str | None) -> str | None:
    """The password of a URL; None if it has none."""
    try:
        return urlsplit(url or "").password
    except ValueError:
        return None


def line(text: object, hidden: tuple[str, ...] = (), longest: int = 2000) -> str:
    """`text` as one printable line of at most `longest` characters, with every secret replaced.

    Whatever breaks a line somewhere (also U+2028 and its like) becomes a space, so that neither a header nor a log
    line can be forged; what UTF-8 cannot hold becomes a question mark.
    """
    said = str(text)
    for secret in hidden:
        said = said.replace(secret, HIDDEN)
    said = _CREDENTIALS.sub(rf"\1{HIDDEN}@", said).encode("utf-8", "replace").decode()
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


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
