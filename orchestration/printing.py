"""Tables of the terminal: few columns that fit 80 characters, and all fields of each record on request.

What the columns hold is up to each command in `orchestration.commands`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import click

details_option = click.option("--details", is_flag=True, help="Print all fields of each record, one below the other.")

NARROW = 10
"""A column whose longest text has at most this many characters is never wrapped; the others share what is left."""


def moment(time: datetime | None) -> str:
    """A moment to the minute; the empty string for None."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that share their keys, which are the columns, within the width of the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in rows[0] if rows else ():
        longest = max(len(str(row[column])) for row in rows)
        table.add_column(column, overflow="fold", no_wrap=longest <= NARROW)
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    Console().print(table)


def print_details(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print each row as a block of lines, a field a line, without the fields that are empty."""
    click.echo(title)
    for row in rows:
        width = max(map(len, row))
        lines = (f"  {name:<{width}}  {value}" for name, value in row.items() if str(value))
        click.echo("\n" + "\n".join(lines))
