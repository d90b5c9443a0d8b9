"""`evergreen reproduce`: what `jobs.backtesting.reproduce` compared, printed. Nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option

if TYPE_CHECKING:
    from jobs.backtesting.reproduce import Compared


@click.command()
@use_case_option
@click.option("--tune", is_flag=True, help="Search the parameters again too.")
@click.argument("model_version", type=int)
def reproduce(name: str, tune: bool, model_version: int) -> None:
    """Train MODEL_VERSION again from the recorded table versions and compare its metrics."""
    from rich.console import Console
    from rich.markup import escape

    from jobs.backtesting import reproduce as job
    from jobs.lakehouse.tables import attach
    from jobs.registry.bundle import BundleError
    from jobs.registry.tracking import TrackingUnavailable

    console = Console(highlight=False)
    try:
        compared = job.reproduce(attach(settings.load()), use_case_named(name), model_version, tune)
    except (ValueError, BundleError, TrackingUnavailable) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    console.print(_table(f"{name} {model_version}, trained again", compared))
    sys.exit(int(not all(one.equal for one in compared)))


def _table(title: str, compared: Sequence[Compared]) -> object:
    """What was recorded, next to what the training returned now."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("what", "recorded", "again", ""):
        table.add_column(column)
    for one in compared:
        table.add_row(one.name, str(one.recorded), str(one.found), "same" if one.equal else "[red]differs[/red]")
    return table
