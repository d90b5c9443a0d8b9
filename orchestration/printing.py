"""Everything that commands print goes through here, so that no text from data is read as markup or as control codes.

Tables have few columns that fit 80 characters, and all fields of each record on request. What they hold is up to each
command in `orchestration.commands`.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from jobs.display import plain, written
from jobs.secret import hide

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

details_option = click.option("--details", is_flag=True, help="Print all fields of each record, one below the other.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON, for programs.")

NARROW = 10
"""A column whose longest text has at most this many characters is never wrapped; the others share what is left."""


def moment(time: datetime | None) -> str:
    """A moment to the minute; the empty string for None."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def say(text: object, label: str = "", style: str = "") -> None:
    """Print a text, after a label in a style of rich (`red`)."""
    if not label:
        click.echo(plain(text))
        return
    from rich.text import Text

    console().print(Text.assemble((label, style), " ", plain(text)), soft_wrap=True)


def complain(text: object, label: str = "") -> None:
    """Print what is wrong, on stderr."""
    click.echo(f"{label}: {plain(text)}" if label else plain(text), err=True)


def print_json(value: object) -> None:
    """Print a value as JSON: moments as ISO text, no number (NaN, infinite) as null, other objects as their text.

    Secrets are hidden in each text: JSON would write their letters in another way.
    """
    click.echo(json.dumps(_of_json(value), allow_nan=False, indent=2))


def _of_json(value: object) -> object:
    if isinstance(value, Mapping):
        return {hide(str(name)): _of_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_of_json(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    return value.isoformat() if isinstance(value, date) else hide(str(value))


def console() -> Console:
    """A terminal that reads no markup in what it prints."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def cell(value: object, style: str = "") -> Text:
    """The cell of a table."""
    from rich.text import Text

    return Text(plain(value), style)


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that share their keys, which are the columns, within the width of the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=cell(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in rows[0] if rows else ():
        longest = max(len(shown(row[column], column)) for row in rows)
        table.add_column(cell(column), overflow="fold", no_wrap=longest <= NARROW)
    for row in rows:
        table.add_row(*(cell(shown(value, column)) for column, value in row.items()))
    console().print(table)


def print_details(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print each row as a block of lines, a field a line, without the fields that are empty."""
    click.echo(plain(title))
    for row in rows:
        texts = {name.replace("_", " "): shown(value, name) for name, value in row.items()}
        width = max(map(len, texts))
        lines = (f"  {name:<{width}}  {text}" for name, text in texts.items() if text)
        click.echo("\n" + "\n".join(map(plain, lines)))


def print_entries(title: str, entries: Sequence[tuple[str, str, str]]) -> None:
    """Print names with their values in columns, and below each what it is, within the width of the terminal."""
    width, indent = max(len(name) for name, _, _ in entries), " " * 4
    click.echo("\n".join(textwrap.wrap(plain(title), console().width)) + "\n")
    for name, value, text in entries:
        lines = textwrap.wrap(plain(text), console().width - len(indent), break_on_hyphens=False)
        click.echo(f"{plain(name):<{width}}  {plain(value)}")
        click.echo("\n".join(indent + line for line in lines))
    click.echo()


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """Print sentences, each beside its name, within the width of the terminal."""
    indent = max(map(len, facts)) + 2
    width = max(console().width, indent + NARROW)
    click.echo(plain(title))
    for name, text in facts.items():
        label = name.ljust(indent)
        for line in plain(text).splitlines():
            wrapped = textwrap.wrap(line, width - indent, break_on_hyphens=False)
            click.echo(label + f"\n{' ' * indent}".join(wrapped))
            label = " " * indent


def shown(value: object, name: str = "") -> str:
    """A field as people read it (`jobs.display.written`): a moment to the minute, nothing for None."""
    if value is None or isinstance(value, datetime):
        return moment(value)
    return written(value, name)
