"""`evergreen repair`: the commands that `evergreen doctor --deep` names; the work is in `jobs.integrity`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from jobs.settings import Settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import say

if TYPE_CHECKING:
    from jobs.use_case import UseCase


@click.group()
def repair() -> None:
    """Mend what `evergreen doctor --deep` found damaged."""


@repair.command()
@click.argument("table")
@click.option("--drop-rows", is_flag=True, help="Go on without the rows of damaged files, where nothing else is left.")
def table(table: str, drop_rows: bool) -> None:
    """Mend TABLE (`schema.name`): from the registered input, or by a run that makes it again."""
    from jobs.use_cases.catalog import USE_CASES

    owners = [each for each in USE_CASES if each.owns(table)]
    if len(table.split(".")) != 2 or not owners:
        raise click.UsageError(f"TABLE: expected schema.name of a use case, found {table!r}")
    sys.exit(mend_table(settings_module.load(), owners[0], table, drop_rows))


@repair.command()
@use_case_option
def export(name: str) -> None:
    """Export the champion again."""
    from jobs.integrity import repair_export
    from jobs.lakehouse.tables import attach

    exported = repair_export.export(attach(settings_module.load()), use_case_named(name))
    say(f"Version {exported.version} was exported to {exported.folder}.")


@repair.command()
@use_case_option
def bundles(name: str) -> None:
    """Replace damaged copies of a model's bundle by whole ones."""
    from jobs.integrity import repair_models

    _tell(repair_models.bundles(settings_module.load(), use_case_named(name)))


@repair.command()
@use_case_option
def registry(name: str) -> None:
    """Register the models of ledger and home again, under their numbers."""
    from jobs.integrity import repair_models

    _tell(repair_models.registry(settings_module.load(), use_case_named(name)))


@repair.command()
@use_case_option
def ledger(name: str) -> None:
    """Write the exported model into an empty ledger as its champion."""
    from jobs.integrity import repair_models

    _tell(repair_models.ledger(settings_module.load(), use_case_named(name), datetime.now(UTC)))


def _tell(done: Iterable[str]) -> None:
    for line in list(done) or ["nothing to mend"]:
        say(f"{line[0].upper()}{line[1:]}.")


def mend_table(settings: Settings, use_case: UseCase, table: str, drop: bool) -> int:
    """Mend a table in the way of its kind; returns the exit status."""
    from jobs.integrity import repair_tables
    from jobs.lakehouse.tables import TableDamaged, attach

    lakehouse, kind = attach(settings), repair_tables.kind_of(table, use_case)
    if kind == "recorded":
        if not drop:
            raise click.UsageError(f"{table}: its rows are nowhere else; restore it, or give --drop-rows to go on")
        say(f"{table} goes on without {repair_tables.drop_rows(lakehouse, table):,} rows.")
        return 0
    if kind == "raw":
        try:
            say(f"{_rebuilt(settings, use_case, table):,} rows of {table} were written again from the input.")
            return 0
        except TableDamaged:
            say(f"{table}: its log cannot be read, so a run makes all tables again from the registered input.")
    return _made_again(settings, use_case, table)


def _rebuilt(settings: Settings, use_case: UseCase, table: str) -> int:
    from jobs.ingest import registered_inputs
    from jobs.integrity import repair_tables
    from jobs.lakehouse.tables import attach

    inputs = registered_inputs.registered(settings, use_case)
    if inputs is None:
        raise repair_tables.NotRebuilt(f"{table}: expected a registered input, found none; restore it from a backup")
    return repair_tables.rebuild_raw(attach(settings), use_case, table, inputs, datetime.now(UTC))


def _made_again(settings: Settings, use_case: UseCase, table: str) -> int:
    """Set a derived table aside and run as of the last run, which makes it again."""
    from jobs.ingest import registered_inputs
    from jobs.integrity import repair_tables
    from jobs.lakehouse.tables import attach
    from orchestration import fingerprint, run_command

    lakehouse = attach(settings)
    with registered_inputs.locked(settings, use_case):  # a run that is under way reads these tables
        last = fingerprint.last(settings, use_case)
        for each in repair_tables.rebuilt_by_a_run(lakehouse, use_case, table):
            say(f"{each} lies in {repair_tables.set_aside(lakehouse, each)} now; a run makes it again.")
    as_of = datetime.fromisoformat(last["as_of"]) if last else None
    return run_command.run(settings, use_case, {}, None, as_of, full=True)
