"""Dead letters as lines of a file that a person mends: one JSON object a line, bytes that are no text in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.messages.dead_letters import DeadLetter
from jobs.state_files import replace_bytes

_PLACE = ("topic", "partition", "offset")
BASE64 = "_base64"


def write(path: Path, letters: Iterable[DeadLetter]) -> int:
    """Write letters, in place of what the file held; returns how many."""
    lines = [json.dumps(described(letter), ensure_ascii=False) + "\n" for letter in letters]
    replace_bytes(path, "".join(lines).encode(), private=True)
    return len(lines)


def described(letter: DeadLetter) -> dict[str, Any]:
    """A letter as JSON holds it."""
    message = letter.message
    place = {name: getattr(message, name) for name in _PLACE}
    return {**place, "reason": letter.reason, **_texts("key", message.key), **_texts("value", message.value)}


def mended(path: Path, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Those of the letters that a file names, with the keys and values that it has for them.

    Raises Invalid if it names one that is not among them, or is no such file.
    """
    waiting = {tuple(getattr(letter.message, name) for name in _PLACE): letter for letter in letters}
    found = []
    for number, given in _lines(path):
        try:
            letter = waiting.pop(tuple(given[name] for name in _PLACE))
            key, value = (_bytes(given, name) for name in ("key", "value"))
        except (KeyError, TypeError, ValueError):
            raise Invalid(
                f"{path}, line {number}: expected a dead letter as `evergreen dlq export` writes it and that was not "
                "sent back yet, found another; export them again"
            ) from None
        found.append(replace(letter, message=letter.message._replace(key=key, value=value)))
    return found


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip():
                yield number, json.loads(line)
    except ValueError as error:
        raise Invalid(f"{path}: expected a JSON object in every line, found none: {error}; mend it") from None


def _texts(name: str, value: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        assert value is not None
        return {name + BASE64: base64.b64encode(value).decode()}


def _bytes(given: dict[str, Any], name: str) -> bytes | None:
    if name + BASE64 in given:
        return base64.b64decode(given[name + BASE64], validate=True)
    text = given[name]
    return None if text is None else str(text).encode() if isinstance(text, str) else json.dumps(text).encode()
