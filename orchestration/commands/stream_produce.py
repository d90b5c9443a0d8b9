"""`evergreen stream produce`: parsing and progress; files become messages in `jobs.messages`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import (
    DAY,
    SEED,
    Between,
    chosen_files,
    columns_option,
    input_files,
    use_case_named,
    use_case_option,
)
from orchestration.printing import complain, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from jobs.ingest.registered_inputs import Inputs
    from jobs.use_case import UseCase

SHARE, MINUTES, SPEED = Between(0, 1), Between(0, 525_600), Between(0, 1e9)


@click.command()
@use_case_option
@input_files
@columns_option
@click.option("--speed", type=SPEED, default=0.0, help="Times as fast as the world itself; 0: as fast as possible.")
@click.option("--late", type=MINUTES, default=0.0, help="Each message arrives up to so many minutes late.")
@click.option("--duplicates", type=SHARE, default=0.0, help="Share of the messages that are sent twice.")
@click.option("--disorder", type=SHARE, default=0.0, help="Share of the messages that later ones overtake.")
@click.option("--seed", type=SEED, default=0, help="Of all that is drawn.")
@click.option("--first", type=DAY, help="Send what became known from this day on (UTC).")
@click.option("--last", type=DAY, help="Send what became known by the end of this day (UTC).")
def produce(
    name: str,
    columns: Path | None,
    speed: float,
    late: float,
    duplicates: float,
    disorder: float,
    seed: int,
    first: datetime | None,
    last: datetime | None,
    **files: tuple[Path, ...],
) -> None:
    """Replay files to topics, USE_CASE.SOURCE each, in the order in which their rows became known.

    Without files, the registered ones are sent, or else the built-in input.
    """
    from rich.progress import Progress

    from jobs.messages import connection, replay, replay_files, sending
    from jobs.messages.replay_order import Disturbance
    from jobs.messages.topics import Topics

    use_case, own = use_case_named(name), settings.load()
    url = connection.stream_of(own)
    topics, to = Topics.of(use_case, connection.own_options(url)), connection.producer(url)
    disturbance = Disturbance(timedelta(minutes=late), duplicates, disorder, seed)
    with Progress() as bar:
        inputs = _inputs(use_case, chosen_files(files), columns, bar)
        rows = replay_files.read(use_case, inputs, datetime.now(UTC))
        planned = replay.plan(topics, rows, disturbance, first and first.date(), last and last.date())
        task = bar.add_task(f"sending {name}", total=planned.order.height)
        sent = sending.send(planned, to, sending.Pace(speed), lambda done, _: bar.update(task, completed=done))
    for topic, count in sent.items():
        say(f"{topic}: {count:,} messages")
    for each in rows:
        if each.bad:
            complain(f"{each.source.name}: {each.bad:,} rows break the contract and were left out (`evergreen check`)")


def _inputs(use_case: UseCase, files: dict[str, tuple[Path, ...]], columns: Path | None, bar: Progress) -> Inputs:
    from jobs.messages import replay_files

    if files:
        return replay_files.given(use_case, files, columns)
    if columns:
        raise click.UsageError(f"expected a file, as in `--{use_case.sources[0].input} FILE`, found none; name one")
    task = bar.add_task("making the built-in input", total=None, visible=False)
    return replay_files.usual(
        settings.load(), use_case, lambda done, total: bar.update(task, completed=done, total=total, visible=True)
    )
