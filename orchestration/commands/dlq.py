"""`evergreen dlq`: dead letters, which are messages that break the contract; the work is in `jobs.messages`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs import settings
from orchestration.options import FILE, use_case_named, use_case_option
from orchestration.printing import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.messages.dead_letters import DeadLetter

LONGEST = 60


@click.group()
def dlq() -> None:
    """Dead letters of topics: messages that break the contract, mended and sent back."""


@dlq.command("list")
@use_case_option
@json_option
def listed(name: str, as_json: bool) -> None:
    """Show the dead letters that were not sent back yet."""
    from jobs.messages import letter_files

    _, letters = _letters(name)
    if as_json:
        print_json([letter_files.described(letter) for letter in letters])
    elif letters:
        print_table(f"dead letters of {name}", [_row(letter) for letter in letters])
    else:
        say(f"{name}: no dead letters that were not sent back")


@dlq.command()
@use_case_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(name: str, file: Path) -> None:
    """Write the dead letters into FILE, a JSON object a line, to be mended and given to `replay`."""
    from jobs.messages import letter_files

    _, letters = _letters(name)
    say(f"{file}: {letter_files.write(file, letters)} dead letters")


@dlq.command()
@use_case_option
@click.argument("file", type=FILE, required=False)
def replay(name: str, file: Path | None) -> None:
    """Send dead letters back to their topics, each once: those of FILE as it has them, or all as they are.

    A message that comes back is known from then on.
    """
    from jobs.messages import dead_letters, letter_files

    options, letters = _letters(name)
    if file is not None:
        letters = letter_files.mended(file, letters)
    say(f"{name}: {dead_letters.send_back(options, name, letters)} messages sent back")


def _letters(name: str) -> tuple[dict[str, Any], list[DeadLetter]]:
    """Options of clients, and the letters that were not sent back."""
    from jobs.messages import dead_letters
    from jobs.messages.connection import client_options, own_options, stream_of
    from jobs.messages.topics import Topics

    use_case, url = use_case_named(name), stream_of(settings.load())
    options = client_options(url)
    topics = [topic + dead_letters.ENDING for topic in Topics.of(use_case, own_options(url)).names]
    return options, list(dead_letters.stored_letters(options, topics, dead_letters.replay_group(use_case.name)))


def _row(letter: DeadLetter) -> dict[str, object]:
    value = letter.message.value or b""
    text = value[:LONGEST].decode(errors="replace")
    return {"topic": letter.message.topic, "offset": letter.message.offset, "reason": letter.reason, "value": text}
