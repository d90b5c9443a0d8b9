"""`evergreen reproduce`: what `jobs.backtesting.reproduce` compared, printed. Nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import VERSION, use_case_named, use_case_option
from orchestration.printing import cell, console, json_option, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.backtesting.reproduce import Compared


@click.command()
@use_case_option
@click.option("--tune", is_flag=True, help="Search the parameters again too.")
@json_option
@click.argument("model_version", type=VERSION)
def reproduce(name: str, tune: bool, as_json: bool, model_version: int) -> None:
    """Train MODEL_VERSION again from the recorded table versions and compare its metrics."""
    from jobs.backtesting import reproduce as job
    from jobs.lakehouse.tables import attach

    compared = job.reproduce(attach(settings.load()), use_case_named(name), model_version, tune)
    if as_json:
        print_json([vars(one) for one in compared])
    else:
        console().print(_table(f"{name} {model_version}, trained again", compared))
    sys.exit(int(not all(one.equal for one in compared)))


def _table(title: str, compared: Sequence[Compared]) -> Table:
    """What was recorded, next to what the training returned now."""
    from rich.table import Table

    table = Table(title=cell(title), title_justify="left")
    for column in ("what", "recorded", "again", ""):
        table.add_column(column)
    for one in compared:
        mark = cell("same") if one.equal else cell("differs", "red")
        table.add_row(*map(cell, (one.name, one.recorded, one.found)), mark)
    return table
