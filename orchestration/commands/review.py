"""`evergreen review list` and `evergreen review verdicts`: parsing and printing; the work is in
`jobs.actions.review_queue` and `jobs.actions.verdicts`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from jobs import settings as settings_module
from orchestration.options import FILE, use_case_named, use_case_option
from orchestration.printing import say

SHOWN = 20


@click.group()
def review() -> None:
    """The cases that are worth a reviewer's time, and the verdicts about them."""


@review.command("list")
@use_case_option
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), required=True, help="Day of the events.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV file to write, to be filled in.")
def list_queue(name: str, day: datetime, out: Path | None) -> None:
    """Print the review queue of a day, made once from its predictions, within a day's capacity."""
    from pyarrow import csv

    from jobs.actions import review_queue
    from jobs.lakehouse.tables import attach

    queue = review_queue.make_queue(attach(settings_module.load()), use_case_named(name), day.date(), datetime.now(UTC))
    for row in queue.slice(0, SHOWN).to_pylist():
        say(f"{row['place']:>4}  {row[use_case_named(name).event_id]}  {row['score']:.3f}  {row['reason']}")
    say(f"{queue.num_rows} events of {day.date()}")
    if out is not None:
        empty = [""] * queue.num_rows
        for column in ("verdict", "reviewed_at"):
            queue = queue.append_column(column, [empty])
        csv.write_csv(queue, out)
        say(str(out))


@review.command()
@use_case_option
@click.argument("file", type=FILE)
def verdicts(name: str, file: Path) -> None:
    """Register the verdicts in FILE (CSV: event id, verdict, reviewed_at) as reports; the next run loads them."""
    from jobs.actions import verdicts as job

    count = job.register(settings_module.load(), use_case_named(name), file, datetime.now(UTC))
    say(f"{count} verdicts registered; `evergreen run` loads them")
