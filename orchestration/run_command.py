"""What `evergreen run` does around a run: input, nothing new, summary. Printing lives here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import error_log
from jobs.display import span
from jobs.ingest import registered_inputs
from jobs.integrity import home_check
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.ledger.promotions import LedgerView
from jobs.settings import ROOT, Settings
from jobs.use_case import UseCase
from orchestration import fingerprint, in_production, leftovers
from orchestration.error_boundary import NOBODY
from orchestration.printing import cell, complain, console, print_json, say

if TYPE_CHECKING:
    from orchestration.lineage_run import RunOutcome


def run(
    settings: Settings,
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    as_of: datetime | None,
    full: bool = False,
    show: bool = True,
    ahead: bool = False,
    as_json: bool = False,
) -> int:
    """Register the files given, run what is new, print a summary; returns the exit status.

    `as_of` may lie after the present only with `ahead`.
    """
    said: list[str] = []

    def waiting() -> None:
        if show and not said:
            said.append("once")
            say(registered_inputs.under_way(use_case))

    # A second run of the same use case waits here, and then finds nothing new.
    with registered_inputs.locked(settings, use_case, waiting):
        inputs = _inputs(settings, use_case, files, columns, show)
        now = datetime.now(UTC)
        # Input of a day that is not over yet is known until now.
        as_of = inputs.checked_as_of(as_of, max(now, as_of) if ahead else now) if as_of else min(inputs.end, now)
        return _run(settings, use_case, inputs, as_of, full, show, as_json, ahead)


def _inputs(
    settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None, show: bool
) -> registered_inputs.Inputs:
    from rich.progress import Progress

    if any(files.values()):
        return registered(settings, use_case, files, columns)
    with Progress(console=console(), disable=not show, transient=True) as bar:
        task = bar.add_task("simulating the built-in input")
        return registered_inputs.ensure(
            settings, use_case, lambda done, total: bar.update(task, completed=done, total=total)
        )


def registered(
    settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None
) -> registered_inputs.Inputs:
    """Make `files` the input of the use case. Raises InputError if they cannot be used."""
    named = [*(f for paths in files.values() for f in paths), *([columns] if columns else [])]
    file_stamps, last = registered_inputs.stamps(named), registered_inputs.registered(settings, use_case)
    if last is not None and len(file_stamps) == len(named) and last.given == file_stamps:
        return last
    from jobs.actions import verdicts
    from jobs.ingest import registration

    inputs = registration.describe(use_case, files, columns, datetime.now(UTC))
    inputs = verdicts.joined(settings, use_case, replace(inputs, given=file_stamps))
    return registered_inputs.register(settings, use_case, inputs)


def _run(
    settings: Settings,
    use_case: UseCase,
    inputs: registered_inputs.Inputs,
    as_of: datetime,
    full: bool,
    show: bool,
    as_json: bool,
    ahead: bool,
) -> int:
    lakehouse = attach(settings)
    leftovers.sweep(settings)
    home_check.refuse_damage(lakehouse, use_case)
    paths = [p for name in inputs.files for p in inputs.paths(name)]
    given = fingerprint.given(settings, paths, {"as_of": as_of, "columns": inputs.columns})
    last = fingerprint.last(settings, use_case)
    if not full and last.get("fingerprint") == fingerprint.of_run(lakehouse, use_case, given):
        home_check.refuse_damaged_bundles(settings, use_case)
        ledger = in_production.view(settings, use_case)
        if as_json:
            earlier = {"run_id": last["run_id"], "as_of": last["as_of"], "success": True}
            print_json({"new": False, **earlier, **_champion(ledger)})
        else:
            _warn(ledger, {})
            say(f"Nothing new for {use_case.name} since run {last['run_id']} (as of {last['as_of']}).")
            _where_next(settings)
        return _status(ledger)
    execute = _prepared(settings)
    outcome = execute(settings, use_case, as_of, _days(settings, use_case, as_of, last), (use_case,), show=show)
    ledger = in_production.view(settings, use_case)
    if as_json:
        print_json({**_record(as_of, outcome), **_champion(ledger)})
    elif ahead and outcome.success:  # its checks judge a moment of which nothing can be known yet
        say(f"of {use_case.name} are prepared, in {span(round(outcome.seconds, 1))}", "features", "green")
    else:
        if outcome.success:
            _warn(ledger, {name: str(metadata.get("notes") or "") for name, metadata in outcome.assets.items()})
        _summary(use_case, inputs, as_of, outcome)
    for text in outcome.tracebacks:
        if log := error_log.append(settings.home, f"run {outcome.run_id}", text):
            complain(f"The traceback is in {log}. Please report it.")
    if not outcome.success:
        return 1
    record: dict[str, object] = {"fingerprint": fingerprint.of_run(lakehouse, use_case, given)}
    record |= {"run_id": outcome.run_id, "as_of": as_of.isoformat(), "seconds": outcome.seconds, "steps": outcome.steps}
    fingerprint.remember(settings, use_case, record)
    if not (as_json or ahead):
        _where_next(settings)
    return _status(ledger)


def _champion(ledger: LedgerView | None) -> dict[str, object]:
    return {} if ledger is None else {"champion": in_production.record(ledger)}


def _warn(ledger: LedgerView | None, notes: Mapping[str, str]) -> None:
    if ledger is not None and (text := in_production.warning(ledger, notes)):
        say(text, "attention", "yellow" if ledger.champion else "red")


def _status(ledger: LedgerView | None) -> int:
    return NOBODY if ledger is not None and ledger.champion is None else 0


def _prepared(settings: Settings) -> "Callable[..., RunOutcome]":
    """Returns what executes a run. Its imports take seconds, in which the engine starts or turns out not to answer."""
    with ThreadPoolExecutor(1) as background:
        started = background.submit(engine.url, settings)
        if settings.spark_remote:
            started.result()
        from orchestration.lineage_run import execute

        started.result()
    return execute


def _days(settings: Settings, use_case: UseCase, as_of: datetime, last: Mapping[str, str]) -> tuple[date, date]:
    """Partitions the run is recorded for: the days since the last run, or all of them at first."""
    from orchestration import partitions

    until = (as_of - timedelta(microseconds=1)).date()
    before = (datetime.fromisoformat(last["as_of"]) - timedelta(microseconds=1)).date() if last else date.min
    return partitions.between(settings, use_case, min(before + timedelta(days=1), until), until)


def _record(as_of: datetime, outcome: "RunOutcome") -> dict[str, object]:
    """What the summary says, for programs."""
    assets = {
        name: {
            "rows": metadata.get("dagster/row_count"),
            "version": metadata.get("delta_version"),
            "notes": str(metadata.get("notes") or "").splitlines(),
        }
        for name, metadata in outcome.assets.items()
    }
    own = {
        name: getattr(outcome, name) for name in ("run_id", "success", "seconds", "steps", "failed_checks", "errors")
    }
    return {"new": True, "as_of": as_of, **own, "assets": assets}


def _summary(use_case: UseCase, inputs: registered_inputs.Inputs, as_of: datetime, outcome: "RunOutcome") -> None:
    from rich.table import Table

    table = Table(title=cell(f"{use_case.name} as of {as_of:%Y-%m-%d %H:%M} UTC"), title_justify="left")
    for column in ("asset", "rows", "version"):
        table.add_column(column, justify="left" if column == "asset" else "right")
    for name, metadata in outcome.assets.items():
        rows = metadata.get("dagster/row_count")
        table.add_row(*map(cell, (name, "" if rows is None else f"{rows:,}", metadata.get("delta_version", ""))))
    if outcome.assets:
        console().print(table)
    timing = Table(title="time per step", title_justify="left")
    timing.add_column("step")
    timing.add_column("time", justify="right")
    for step, seconds in outcome.steps.items():
        timing.add_row(cell(step), span(round(seconds, 1)))
    if outcome.steps:
        console().print(timing)
    for name, metadata in outcome.assets.items():
        for note in str(metadata.get("notes") or "").splitlines():
            say(f"{name}: {note}", "note", "yellow")
    for check in outcome.failed_checks:
        say(check, "check failed", "yellow")
    for error in _by_cause(outcome.errors):
        say(error, "failed", "red")
    body = sum(outcome.steps.values())
    state, style = ("done", "green") if outcome.success else ("stopped", "red")
    say(f"in {span(round(outcome.seconds, 1))} ({span(round(body, 1))} in assets), run {outcome.run_id}", state, style)


def _by_cause(errors: Sequence[str]) -> Iterator[str]:
    """Each cause once, after all steps that it ended."""
    steps: dict[str, list[str]] = {}
    for error in errors:
        step, _, cause = error.partition(": ")
        steps.setdefault(cause, []).append(step)
    return (f"{', '.join(names)}: {cause}" for cause, names in steps.items())


def _where_next(settings: Settings) -> None:
    look = "make ui" if (ROOT / "Makefile").exists() and settings.project is None else "evergreen ui"
    say(f"Look: `{look}` (lineage, checks, plots). Tables: {settings.warehouse}. Health: `evergreen doctor`.")
