"""`evergreen inputs`: parsing and printing; the work is in `jobs.ingest.input_removal`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import json_option, print_json, print_table, say


@click.group()
def inputs() -> None:
    """The files that feed a use case: see them, take them back."""


@inputs.command("list")
@use_case_option
@json_option
def list_files(name: str, as_json: bool) -> None:
    """Print the registered files: what every run reads, verdicts of reviewers included."""
    from jobs.ingest import input_removal

    files = input_removal.files(settings_module.load(), use_case_named(name))
    rows = [{"input": f.name, "bytes": f.size, "file": str(f.path)} for f in files]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(f"inputs of {name}", [{**row, "bytes": row["bytes"] or "missing"} for row in rows])
    else:
        say(f"No file is registered for {name} yet; `evergreen run` registers files.")


@inputs.command()
@use_case_option
@click.argument("files", nargs=-1, required=True)
def remove(name: str, files: tuple[str, ...]) -> None:
    """Take registered FILES back (paths, or names as `inputs list` shows them): later runs do not read them.

    Rows that were loaded from them stay in the tables, as history is never overwritten.
    """
    from jobs.ingest import input_removal

    for file in input_removal.remove(settings_module.load(), use_case_named(name), files, datetime.now(UTC)):
        say(f"{file.path}: no input of {name} any more; rows that were loaded from it stay")
