"""`evergreen features search`: parsing and printing; the work is in `jobs.feature_search.search`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs import settings as settings_module
from orchestration.options import MOMENT, Between, use_case_named, use_case_option
from orchestration.printing import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.feature_search.outcome import Kept
    from jobs.settings import Settings
    from jobs.use_case import UseCase


@click.command("search")
@use_case_option
@click.option("--as-of", type=MOMENT, help="Search in what was known then (UTC); default: all that is known.")
@click.option("--minutes", type=Between(0.01, 24 * 60), default=30, show_default=True, help="At most about so long.")
@click.option(
    "--from-nothing", is_flag=True, help="Start from the event's own numbers, not from the declared features."
)
@json_option
def search(name: str, as_of: datetime | None, minutes: float, from_nothing: bool, as_json: bool) -> None:
    """Look for window features that help beyond noise on later days of two periods.

    Writes a report and a patch to the declarations; nothing is declared by itself (docs/models/feature-search.md).
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from jobs.alerts import evidence_alerts
    from jobs.feature_search.outcome import run
    from jobs.lakehouse.tables import attach

    own, use_case, now = settings_module.load(), use_case_named(name), datetime.now(UTC)
    moment = as_of.replace(tzinfo=UTC) if as_of else _end(own, use_case)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, transient=True, disable=as_json) as bar:
        task = bar.add_task("features", total=None)
        kept = run(
            attach(own), use_case, moment, 60 * minutes, now, from_nothing,
            lambda sentence: bar.update(task, description=sentence),
        )  # fmt: skip
    if kept.answered:
        evidence_alerts.settle_search(own, use_case, None, now)
    if as_json:
        print_json({**kept.found.summary(), **{name: str(path) for name, path in kept.files.items()}})
    else:
        _print(kept)


def _end(own: Settings, use_case: UseCase) -> datetime:
    """The end of the registered input: nothing is known later."""
    from jobs.ingest import registered_inputs

    known = registered_inputs.registered(own, use_case)
    if known is None:
        raise click.UsageError("expected a home with data, found none; start with `evergreen run`")
    return known.end


def _print(kept: Kept) -> None:
    found, files = kept.found, kept.files
    said: dict[str, Any] = found.summary()
    before, after = (sum(values) / len(values) for values in (found.before, found.after))
    say(f"{found.rows:,} events, {found.positives:,} {found.task.evidence} to judge on; {said['ended']}")
    if not found.proposals:
        say(f"No feature is proposed: nothing is better beyond noise than the {before:.3f} of what is there")
    else:
        lower = found.difference.lower if found.difference else 0.0
        words = found.task.words.capitalize()
        say(f"{words} {before:.3f} before, {after:.3f} with the features: better by {lower:.3f} or more")
        rows = [{**one, "windows": len(one["windows"])} for one in said["proposed"]]
        shown = ("feature", "windows", "difference", "lower", "microseconds")
        print_table("Proposed, in the order in which they help", [{key: row[key] for key in shown} for row in rows])
    if refused := said["not_beyond_noise"]:
        rows = [{"feature": name, **numbers} for name, numbers in refused.items()]
        print_table(
            "Tried, not better beyond noise", [{k: r[k] for k in ("feature", "difference", "lower")} for r in rows]
        )
    for what, path in files.items():
        say(f"{path}", what)
    if "patch" in files:
        say(
            f"Read the patch, apply it with `git apply` in {kept.proposed.root}, then `evergreen run`: the gate decides"
        )
    for reason in kept.proposed.unpatched:
        say(reason)
    if "declarations" in files:
        say("Put the declarations into the use case, and of a pair, which has no table yet, a view into feature_repo/")
