"""Text from data, made harmless where people read it: one function for terminals, one for Markdown.

A file may hold any text in an id, a reason or a name. It may not move the cursor, turn the reading direction, forge a
line of another program, draw a picture or become a link. Neither function shows a secret that this process knows.
"""

import re
import unicodedata

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


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in _KEPT or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()
