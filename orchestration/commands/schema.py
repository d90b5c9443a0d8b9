"""`evergreen schema`: parsing and printing; accepted schemas are in `jobs.ingest.contracts`."""

from __future__ import annotations

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import say


@click.group()
def schema() -> None:
    """What the input files look like, and what changed."""


@schema.command()
@use_case_option
@click.argument("source", required=False)
def accept(name: str, source: str | None) -> None:
    """Accept the changed schema of a SOURCE (default: of all) that stopped a run."""
    from jobs.ingest import contracts

    use_case = use_case_named(name)
    for chosen in [use_case.source(source)] if source else use_case.sources:
        for line in contracts.accept(settings.load(), use_case, chosen):
            say(line)
