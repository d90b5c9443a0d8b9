"""Text that is safe to send: on one line, without control characters and without secrets. For delivery see
`jobs.alerts.channels`."""

import math
from collections.abc import Mapping
from typing import Any

from jobs.secret import hide


def line(text: object, longest: int = 2000) -> str:
    """`text` as one printable line of at most `longest` characters, with every secret replaced.

    Every character that can break a line (U+2028 included) becomes a space, so that neither a header nor a log line
    can be forged; what UTF-8 cannot hold becomes a question mark.
    """
    safe = hide(str(text)).encode("utf-8", "replace").decode()
    safe = " ".join("".join(letter if letter.isprintable() else " " for letter in safe).split())
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def without_secrets(value: Any) -> Any:
    """`value` as strict JSON holds it, texts without secrets: mappings, lists, numbers; other things as their text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {line(name): without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(inner) for inner in value]
    if type(value).__module__ == "numpy":
        return without_secrets(value.tolist())
    return line(value)
