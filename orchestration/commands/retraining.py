"""`evergreen retraining`: parsing and printing; the work is in `jobs.retraining.decisions`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named, use_case_option


@click.command()
@use_case_option
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="Number of decisions.")
def retraining(name: str, last: int) -> None:
    """Why a model was trained again, or not: the last decisions, with their evidence in words."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from jobs.retraining import decisions as book

    rows = book.rows(settings_module.load(), use_case_named(name))
    if not rows:
        click.echo(f"Nothing was decided about trainings of {name} yet; `evergreen run` asks for the first one.")
        return
    now = datetime.now(UTC)
    shown = [book.described(row, now) for row in reversed(rows[-last:])]
    table = Table(title=f"trainings of {name}: yes or no, and why", title_justify="left")
    for column in shown[0]:
        table.add_column(column, overflow="fold")
    for row in shown:
        table.add_row(*map(escape, row.values()))
    Console().print(table)
