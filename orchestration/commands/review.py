"""`evergreen review list` and `evergreen review verdicts`: parsing and printing; the work is in
`jobs.actions.review_queue`, `jobs.actions.verdicts` and `jobs.decisions.live_reviews`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from jobs.use_case import capacity_of, review_of
from orchestration.options import DAY, FILE, use_case_named, use_case_option
from orchestration.printing import complain, json_option, print_json, print_table, say

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 20


@click.group()
def review() -> None:
    """The cases that are worth a reviewer's time, and the verdicts about them."""


@review.command("list")
@use_case_option
@click.option("--day", type=DAY, help="Day of the events; default: the latest that was scored.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV file to write, to be filled in.")
@click.option("--live", is_flag=True, help="Instead, the cases that the decision service has open at its last record.")
@json_option
def list_queue(name: str, day: datetime | None, out: Path | None, live: bool, as_json: bool) -> None:
    """Print the review queue of a day, made once from its predictions, within a day's capacity."""
    if live:
        if day or out:
            raise click.UsageError("--live is about open cases of all days, and of no file")
        _print_live(name, as_json)
        return
    from jobs.actions import review_queue
    from jobs.alerts import freshness
    from jobs.lakehouse.tables import attach

    lakehouse, use_case = attach(settings_module.load()), use_case_named(name)
    capacity_of(use_case)
    latest = day.date() if day else max(freshness.scored_days(lakehouse, use_case), default=None)
    queue = review_queue.make_queue(lakehouse, use_case, latest, datetime.now(UTC)) if latest else None
    if as_json:
        print_json([] if queue is None else queue.to_pylist())
    elif queue is None:
        say(f"Nothing of {name} was scored yet, so that there is nothing to review; `evergreen run` scores.")
    else:
        _print(name, use_case.event_id, str(latest), queue)
    if queue is not None and out is not None:
        _write(queue, out)
        complain(f"{out} is written: fill in its columns verdict and reviewed_at")


def _print_live(name: str, as_json: bool) -> None:
    from jobs.actions.review_sampling import live_room
    from jobs.decisions.open_cases import open_cases

    use_case = use_case_named(name)
    cases = open_cases(settings_module.load(), use_case, live_room(review_of(use_case).capacity))
    if as_json:
        print_json(cases)
    elif not cases:
        say(f"No event of {name} waits for a reviewer.")
    else:
        shown = [{**case, "expected_loss": f"{case['expected_loss']:.2f}"} for case in cases[:SHOWN]]
        print_table(f"{name}: to review now", shown)
        say(f"{len(cases)} open cases, of which the first {len(shown)} are shown")


def _print(name: str, event_id: str, day: str, queue: pa.Table) -> None:
    if not queue.num_rows:
        say(f"No event of {name} on {day} is worth a review.")
        return
    first = queue.slice(0, SHOWN).to_pylist()
    shown = (event_id, "score", *(["prediction"] if "prediction" in queue.column_names else []), "reason")
    rows = [{"place": row["place"], **{column: row[column] for column in shown}} for row in first]
    print_table(f"{name}: to review of {day}", [{**row, "score": f"{row['score']:.3f}"} for row in rows])
    say(f"{queue.num_rows} events of {day}, of which the first {len(first)} are shown")


def _write(queue: pa.Table, out: Path) -> None:
    from pyarrow import csv

    for column in ("verdict", "reviewed_at"):
        queue = queue.append_column(column, [[""] * queue.num_rows])
    csv.write_csv(queue, out)


@review.command()
@use_case_option
@click.argument("file", type=FILE)
def verdicts(name: str, file: Path) -> None:
    """Register the verdicts in FILE (CSV: event id, verdict, reviewed_at) as reports; the next run loads them."""
    from jobs.actions import verdicts as job

    count = job.register(settings_module.load(), use_case_named(name), file, datetime.now(UTC))
    say(f"{count} verdicts registered; `evergreen run` loads them")
