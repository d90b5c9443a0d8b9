"""The one form of an identifier that is a text, for one that a client sends: the rule of `jobs.ingest.identifiers`,
which has it for columns, without polars, so that a server that decides needs nothing to be loaded.
"""

import re
import unicodedata

NULL_WORDS = frozenset({"", "null", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", "\\n"})
"""Text, in any case, that stands for no identifier."""
EXACT_DOUBLES = 2**53
"""Integers below this size are exact in a double; beyond it several share one value."""
WHOLE_WITH_FRACTION = r"^(0|-?[1-9][0-9]*)\.0+$"
ROUNDED = r"^-?[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$"
"""A large number as programs print it that have rounded it, such as 1.23457E+15."""
NO_PLAIN_VALUE = r"^(?i:true|false)$|^\[\]$|^\[(?:\"|\[|\{|true|false|null).*\]$|^\{(?:\".*)?\}$"
"""A boolean, a list or an object of JSON, as `jobs.ingest.json_objects` writes them."""
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
BLANKS = " \t\n\r\x0b\x0c\x00\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200C))
)
"""White space of Unicode, and characters that nobody sees."""
_NONE = re.compile(f"{ROUNDED}|{NO_PLAIN_VALUE}|\0")
_WHOLE, _UUID = re.compile(WHOLE_WITH_FRACTION), re.compile(UUID)


def canonical_identifier(text: str) -> str | None:
    """The identifier in its one form; None for what stands for none, and for a rounded number."""
    text = unicodedata.normalize("NFC", text.strip(BLANKS))
    if text.lower() in NULL_WORDS or _NONE.search(text):
        return None
    if whole := _WHOLE.match(text):
        return whole[1] if len(whole[1]) < 20 and abs(int(whole[1])) < EXACT_DOUBLES else None
    return text.lower() if _UUID.match(text) else text
