"""`evergreen propose`: parsing and printing; what a file suggests is found out in `jobs.proposals`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.commands.init import folder_option
from orchestration.options import INPUT
from orchestration.printing import json_option, print_entries, print_json, say

if TYPE_CHECKING:
    from jobs.proposals.proposal import Proposal


@click.command()
@click.option("--transactions", "given", type=INPUT, help="The file, folder or Delta table: payments, for instance.")
@click.option("--table", type=INPUT, help="The same for events of any other kind, which are called as their file is.")
@click.option("--name", help="Of the project and its use case; default: as the file is called.")
@folder_option
@click.option("--label", metavar="COLUMN", help="What is to be foreseen; default: what looks like it.")
@click.option("--time", metavar="COLUMN", help="When an event happened; default: what looks like it.")
@click.option("--key", metavar="COLUMN", help="What identifies an event; default: what looks like it.")
@json_option
def propose(
    given: Path | None,
    table: Path | None,
    name: str | None,
    folder: Path | None,
    label: str | None,
    time: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Look at a file of events, and write a first project for it: columns, key, time, entities, label, windows.

    Parquet, CSV or JSON Lines, with any column names. What was seen stands in the project as comments.
    """
    from jobs.proposals import proposal as proposals
    from jobs.proposals import written_project
    from jobs.proposals.roles import Named

    path = given or table
    if path is None or (given and table):
        raise click.UsageError("expected one file, as in `--transactions FILE` or `--table FILE`, found "
                               f"{'two' if path else 'none'}; name one")  # fmt: skip
    named = name or written_project.name_for(path)
    place = (folder or Path(named)).absolute()
    written_project.refuse_place(place, named)
    source = "transactions" if given else written_project.source_for(path)
    found = proposals.propose(path, named, source, Named(time, key, label))
    _, files = written_project.write(found, place)
    if as_json:
        print_json({"folder": place, "rows": found.table.rows, "columns": found.rows(), "look_at": found.looks()})
    else:
        _print(found, place, [str(file.relative_to(place)) for file in files])


def _print(found: Proposal, place: Path, files: list[str]) -> None:
    first, last = found.plan.days
    title = f"{found.table.path.name}: {found.table.rows:,} rows, {first} to {last}"
    print_entries(title, [(str(row["column"]), f"{row['role']} ({row['kind'] or 'no kind'})", str(row["why"]))
                          for row in found.rows()])  # fmt: skip
    for windows in found.windows:
        say(f"{windows.name}: {len(windows.names)} features of {' and '.join(windows.keys)}")
    for text in found.looks():
        say(text, "look at", "yellow")
    say(f"Written: {', '.join(files)}")
    say(f"{place} is a project. Next: cd {place} && evergreen run && evergreen ui")
