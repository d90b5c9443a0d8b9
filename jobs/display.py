"""Values as people read them: text from data made harmless, for terminals and for Markdown; numbers with their units.

What programs read (JSON, tables, figures of assets that are plotted) stays as it is.

A file may hold any text in an id, a reason or a name. It may not move the cursor, turn the reading direction, forge a
line of another program, draw a picture or become a link. Neither function shows a secret that this process knows.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from jobs.secret import hide

_KEPT = "\n\t\u200c\u200d"
"""Not printable, but part of texts: line ends, tabs, and the joiners of Persian, Hindi and emoji."""
_MARKS = re.compile(
    r"[\\`*\[\]<|~$&@]|(?<![^\W_])_|_(?![^\W_])|://|\bwww\.|\b(?:mailto|xmpp):|^\s*(?:[-+=>#]+(?:\s|$)|\d+[.)](?:\s|$))"
)
"""What Markdown, or GitHub's kind of it, may read as more than text."""


def plain(text: object) -> str:
    """`text` for a terminal: escapes, other control characters and marks that turn the reading direction are written
    out (`\\x1b`), and secrets are hidden."""
    shown = hide(str(text))
    if shown.isprintable():
        return shown
    return "".join(map(_visible, shown))


def markdown(text: object) -> str:
    """`text` for Markdown, as one line that is nothing but text, also within a table: as code if it has any mark."""
    line = " ".join(plain(text).split())
    if not _MARKS.search(line):
        return line
    fence = "`" * (1 + max(map(len, re.findall(r"`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    # Tables are cut at "|" before anything else is read, and "\\|" is cut too.
    safe = re.sub(r"\\(?=\|)", r"\\ ", line).replace("|", r"\|")
    return f"{fence}{padding}{safe}{padding}{fence}"


def listed(names: Iterable[object]) -> str:
    """Names after each other; `none` if there is none."""
    return ", ".join(map(str, names)) or "none"


def written(value: object, name: str = "") -> str:
    """A value as people write it: 1,504,628; 12.8 %; 3.2 MB; 4 m 10 s; yes; a moment without its zone, which is UTC.

    Args:
        name: of the field, whose words say what its numbers are: `peak_bytes`, `cpu_seconds`, `share of rows`;
            versions and ids are names.
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if value is None or not isinstance(value, int | float):
        return "none" if value is None else str(value)
    if words & {"version", "versions", "id"}:
        return str(value)
    unit = next((write for word, write in _UNITS.items() if word in words), number)
    return unit(value)


def number(value: float) -> str:
    """A number: thousands apart, at most three decimals; what is smaller than these, with three digits."""
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 else f"{value:.3g}"


def rounded(value: float) -> float:
    """The number that `number` writes."""
    return float(number(value).replace(",", ""))


def share(value: float) -> str:
    """A share of 0 to 1 in per cent: 12.8 %."""
    return f"{100 * value:.3g} %"


def size(count: float) -> str:
    """Bytes in the largest decimal unit that fits: 3.2 MB."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count:,.0f} bytes"


def span(seconds: float) -> str:
    """A span of time in its two largest units: 4 m 10 s; below a minute, seconds with three digits."""
    if abs(seconds) < 59.95:
        return f"{seconds:.3g} s"
    for unit, part, factor in (("d", "h", 86_400), ("h", "m", 3_600), ("m", "s", 60)):
        whole, rest = divmod(round(seconds), factor)
        if whole:
            smaller = rest * {"h": 24, "m": 60, "s": 60}[part] // factor
            return f"{whole:,} {unit} {smaller} {part}" if smaller else f"{whole:,} {unit}"
    return f"{seconds:.0f} s"


_UNITS = {"bytes": size, "seconds": span, "share": share, "maturity": share}


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in _KEPT or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()
