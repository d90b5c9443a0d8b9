"""`evergreen repair`: the commands that `evergreen doctor --deep` names; the work is in `jobs.integrity`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import say


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
    from orchestration.table_repair import mend_table

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
    """Write again what the ledger lacks: champions that were promoted; into an empty one, the exported model."""
    from jobs.integrity import repair_models

    _tell(repair_models.ledger(settings_module.load(), use_case_named(name), datetime.now(UTC)))


@repair.command()
def predictions() -> None:
    """Write the database of predictions again from the prediction logs."""
    from jobs.integrity import repair_stores
    from jobs.lakehouse.tables import attach
    from jobs.use_cases.catalog import USE_CASES

    _tell(repair_stores.predictions(attach(settings_module.load()), USE_CASES))


@repair.command("online")
def online_store() -> None:
    """Write the online store again from the feature tables."""
    from jobs.integrity import repair_stores
    from jobs.lakehouse.tables import attach
    from jobs.use_cases.catalog import USE_CASES
    from orchestration import fingerprint

    settings = settings_module.load()
    last = [(use_case, fingerprint.last(settings, use_case)) for use_case in USE_CASES]
    moments = [(use_case, datetime.fromisoformat(run["as_of"])) for use_case, run in last if run]
    _tell(repair_stores.online_store(attach(settings), moments))


@repair.command()
@use_case_option
def state(name: str) -> None:
    """Set damaged small files aside that the next run writes again."""
    from jobs.integrity.state import mend_state

    _tell(mend_state(settings_module.load(), use_case_named(name)))


@repair.command()
def runs() -> None:
    """Set damaged databases of Dagster's runs and events aside; runs go on without the history in them."""
    from jobs.integrity import repair_stores

    _tell(repair_stores.runs(settings_module.load()))


def _tell(done: Iterable[str]) -> None:
    for line in list(done) or ["nothing to mend"]:
        say(f"{line[0].upper()}{line[1:]}.")
