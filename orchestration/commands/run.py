"""`evergreen run`: parsing; the work is in `orchestration.run_command`."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from pathlib import Path

import click

from jobs import settings
from orchestration.options import MOMENT, chosen_files, columns_option, input_files, use_case_named, use_case_option
from orchestration.printing import json_option
from orchestration.process import end_at_once


@click.command()
@use_case_option
@input_files
@columns_option
@click.option("--as-of", type=MOMENT, help="Know the world as it was known then (UTC); default: end of the input.")
@click.option("--full", is_flag=True, help="Run even if nothing is new.")
@json_option
def run(
    name: str, columns: Path | None, as_of: datetime | None, full: bool, as_json: bool, **files: tuple[Path, ...]
) -> None:
    """Build the whole lineage of a use case, doing only what is new.

    Files are parquet, CSV or JSON Lines, or folders of them; each option may be repeated. Without any, the input
    registered before is used, or at first the built-in one.
    """
    from orchestration import run_command

    moment = as_of.replace(tzinfo=UTC) if as_of else None
    # A run imports and keeps a million objects and leaves little garbage: looking for it again and again, and once
    # more at the end, takes seconds.
    gc.set_threshold(2_000_000, 20, 100)
    status = run_command.run(
        settings.load(), use_case_named(name), chosen_files(files), columns, moment, full,
        show=not as_json, as_json=as_json,
    )  # fmt: skip
    end_at_once(status)
