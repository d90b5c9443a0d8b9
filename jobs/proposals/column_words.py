"""What names of columns speak for, in the languages that files come in, and the names that tables give them.

A name is only a hint: roles also ask what a column holds (`jobs.proposals.roles`).
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable

from jobs.proposals.words import RESERVED, SQL

_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ı": "i"})


def parts_of(name: str) -> list[str]:
    """The words of a name, in lower case and without accents: `kundenNr` is kunden and nr."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip()).lower().translate(_LETTERS)
    bare = "".join(c for c in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(c))
    return [part for part in re.split(r"[\W_]+", bare) if part]


def speaks_of(name: str, words: Collection[str]) -> bool:
    """Whether a word of a name is one of these, or begins or ends with one of five letters or more."""
    parts = parts_of(name)
    parts += [part.rstrip("0123456789") for part in parts]
    long = tuple(word for word in words if len(word) >= 5 or not word.isascii())
    return any(part in words or part.startswith(long) or part.endswith(long) for part in parts if part)


def table_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Column in the file -> its name in tables: small ASCII letters, digits and underscores, each its own."""
    found: dict[str, str] = {}
    used = set(taken)
    for number, name in enumerate(names, 1):
        plain = re.sub(r"[^a-z0-9]+", "_", "_".join(parts_of(name))).strip("_") or f"column_{number}"
        plain = f"column_{plain}" if plain[0].isdigit() else plain[:50]
        if plain in SQL or plain in RESERVED or keyword.iskeyword(plain):
            plain = f"{plain}_value"
        own = next(each for each in (plain, *(f"{plain}_{n}" for n in range(2, 10_000))) if each not in used)
        used.add(own)
        found[name] = own
    return found
