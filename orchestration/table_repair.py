"""What `evergreen repair table` does, in the way of a table's kind. The work itself is in `jobs.integrity`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from jobs.errors import Invalid
from jobs.ground_truth import estimates_table
from jobs.ingest import registered_inputs
from jobs.integrity import checksums, models, repair_export, repair_logs, repair_tables, table_files
from jobs.integrity.finding import Finding, HomeDamaged
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import fingerprint, run_command
from orchestration.printing import say


def mend_table(settings: Settings, use_case: UseCase, table: str, drop: bool) -> int:
    """Mend a table in the way of its kind; returns the exit status.

    Raises HomeDamaged, with nothing changed, if something else has to be mended before.
    """
    lakehouse, kind = attach(settings), repair_tables.kind_of(table, use_case)
    damage = [found for found in table_files.check_tables(lakehouse, use_case) if _is_of(found, table)]
    if not damage:
        _require_known(lakehouse, use_case, table)
        say(f"{table} is as it was written.")
        return 0
    if kind == "recorded" and not drop:
        raise click.UsageError(f"{table}: its rows are nowhere else; restore it, or give --drop-rows to go on")
    has_log = table in find_tables(lakehouse.warehouse) and repair_logs.mend_log(lakehouse, table)
    if has_log and not list(table_files.check_table(lakehouse, table, deep=True)):
        say(f"{table}: its log was mended, and no row is lost.")
        return 0
    if kind == "recorded":
        return _without(lakehouse, table, has_log)
    if kind == "raw" and has_log:
        return _rebuilt(lakehouse, use_case, table)
    return _made_again(lakehouse, use_case, table)


def _is_of(found: Finding, table: str) -> bool:
    return found.place.split(":")[0] == table


def _require_known(lakehouse: Lakehouse, use_case: UseCase, table: str) -> None:
    tables = [each for each in find_tables(lakehouse.warehouse) if use_case.owns(each)]
    if table not in tables:
        raise click.UsageError(f"TABLE: expected one of {', '.join(tables) or 'no table yet'}, found {table!r}")


def _without(lakehouse: Lakehouse, table: str, has_log: bool) -> int:
    if has_log:
        say(f"{table} goes on without {repair_tables.drop_rows(lakehouse, table):,} rows.")
    else:
        place = repair_tables.set_aside(lakehouse, table)
        say(f"{table} begins anew: its log cannot be read. What was there lies in {place}.")
    return 0


def _rebuilt(lakehouse: Lakehouse, use_case: UseCase, table: str) -> int:
    inputs = registered_inputs.registered(lakehouse.settings, use_case)
    if inputs is None:
        raise repair_tables.NotRebuilt(f"{table}: expected a registered input, found none; restore it from a backup")
    rows = repair_tables.rebuild_raw(lakehouse, use_case, table, inputs, datetime.now(UTC))
    say(f"{rows:,} rows of {table} were written again from the input.")
    return 0


def _made_again(lakehouse: Lakehouse, use_case: UseCase, table: str) -> int:
    """Have what is damaged, that table among it, made again by a run as of the last one.

    Raises HomeDamaged for what no run makes again.
    """
    settings = lakehouse.settings
    if registered_inputs.registered(settings, use_case) is None:
        raise Invalid(f"{table}: expected a registered input to make it again, found none; register your files first")
    with registered_inputs.locked(settings, use_case):  # a run that is under way reads these tables
        last = fingerprint.last(settings, use_case)
        _take_out(lakehouse, use_case)
    say("A run makes again what was damaged, and what depends on it.")
    repair_export.set_aside_if_damaged(settings, use_case)
    as_of = datetime.fromisoformat(last["as_of"]) if last else None
    return run_command.run(settings, use_case, {}, None, as_of, full=True)


def _take_out(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Rebuild damaged raw tables, and take out of derived ones what is damaged; with unreadable logs, all of them."""
    damaged = _damaged(lakehouse, use_case)
    _refuse_others(lakehouse, use_case, damaged)
    raw = {each for each in damaged if repair_tables.kind_of(each, use_case) == "raw"}
    unreadable = {each for each in damaged if not repair_logs.mend_log(lakehouse, each)}
    if not all(repair_tables.is_of_monitoring(each, use_case) for each in unreadable):
        _begin_anew(lakehouse, use_case, damaged, from_input=bool(unreadable & raw))
        return
    for each in unreadable:
        say(f"{each} begins anew: its log cannot be read. It lies in {repair_tables.set_aside(lakehouse, each)} now.")
    for each in raw:
        _rebuilt(lakehouse, use_case, each)
    for each in set(_damaged(lakehouse, use_case)) - raw:
        _emptied(lakehouse, use_case, each)


def _emptied(lakehouse: Lakehouse, use_case: UseCase, table: str) -> None:
    """Take out what a run makes again: of estimates, which every evening adds to, only the damaged rows."""
    if table == estimates_table.table(use_case):
        say(f"{table}: {repair_tables.drop_rows(lakehouse, table):,} rows; only those of the last evening come back.")
    elif repair_tables.is_of_dbt(table, use_case):
        say(f"{table} lies in {repair_tables.set_aside(lakehouse, table)} now.")
    else:
        repair_tables.empty(lakehouse, table)


def _damaged(lakehouse: Lakehouse, use_case: UseCase) -> list[str]:
    return sorted({each.place.split(":")[0] for each in table_files.check_tables(lakehouse, use_case)})


def _refuse_others(lakehouse: Lakehouse, use_case: UseCase, damaged: Sequence[str]) -> None:
    kept = [each for each in damaged if table_files.is_recorded(each)]
    of_tables = [found for each in kept for found in table_files.check_table(lakehouse, each, deep=True)]
    of_models = [each for each in models.check_before_run(lakehouse.settings, use_case) if not each.is_of_export]
    if of_tables or of_models:
        raise HomeDamaged([*of_tables, *of_models])


def _begin_anew(lakehouse: Lakehouse, use_case: UseCase, damaged: Sequence[str], from_input: bool) -> None:
    """Set aside all derived tables, as they know others by versions, and the raw ones if they are to be loaded anew."""
    kinds = ("raw", "derived") if from_input else ("derived",)
    for table in {*find_tables(lakehouse.warehouse), *checksums.known_tables(lakehouse.settings)}:
        kept = table == estimates_table.table(use_case) and table not in damaged
        if use_case.owns(table) and repair_tables.kind_of(table, use_case) in kinds and not kept:
            repair_tables.set_aside(lakehouse, table)
    repair_tables.forget_versions(lakehouse.settings, use_case)
    say(f"Tables whose logs cannot be read, and all that depends on them, lie in {lakehouse.warehouse}/_damaged.")
