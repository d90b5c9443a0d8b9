"""`evergreen stream status`, `rewind` and `verify`: what a stream did, and whether it is right."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime

import click

from jobs import settings
from jobs.errors import EvergreenError
from orchestration.options import DAY, MOMENT, use_case_named, use_case_option
from orchestration.printing import json_option, print_json, print_table, say

MOST_PLACES = 8
"""Partitions whose places are shown one by one."""


@click.command()
@use_case_option
@json_option
def status(name: str, as_json: bool) -> None:
    """Show what the stream of a use case says of itself: whether it runs, how far topics are read, what is left."""
    from dataclasses import asdict

    from jobs.streams import control, health
    from jobs.streams.topic_changes import told

    use_case = use_case_named(name)
    said = control.heartbeat(settings.load(), use_case)
    if said is None:
        say(f"{use_case.name}: no stream ran in this home yet (`evergreen stream run` starts one)")
        return
    if as_json:
        print_json({**asdict(said), "is_alive": said.is_alive})
        return
    state = health.state(said, time.time())
    say(f"{use_case.name}: {state}, last heard of {datetime.fromtimestamp(said.at, UTC):%Y-%m-%d %H:%M:%S}")
    if said.why:
        say(said.why)
    say(", ".join(f"{what} {count:,}" for what, count in said.counts.items()))
    rows = [
        {
            "topic": topic, "reads on at": _places(said.positions.get(topic, {})), "still there": lag,
            "names left out": ", ".join(said.left_out.get(topic, [])),
        }
        for topic, lag in said.lag.items()
    ]  # fmt: skip
    print_table(f"topics of {use_case.name}", rows)
    for topic, changes in said.changes.items():
        for change in changes:
            say(f"{topic}: {told(change)}")


def _places(positions: Mapping[str, int]) -> str:
    """The next message of each partition; of many partitions how many there are."""
    if len(positions) > MOST_PLACES:
        return f"{len(positions)} partitions"
    return ", ".join(f"{partition}: {offset}" for partition, offset in positions.items())


@click.command()
@use_case_option
@click.option("--to", "moment", type=MOMENT, help="Read again what was sent from then on (UTC).")
@click.option("--earliest", is_flag=True, help="Read again all messages that there are.")
def rewind(name: str, moment: datetime | None, earliest: bool) -> None:
    """Set the stream of a use case back: what is known already counts once as before. The stream must not run."""
    from jobs.streams import rewind as rewinding

    if (moment is None) != earliest:
        raise click.UsageError("expected either `--to MOMENT` or `--earliest`")
    use_case = use_case_named(name)
    found = rewinding.rewind(settings.load(), use_case, None if moment is None else moment.replace(tzinfo=UTC))
    for position in found:
        places = ", ".join(f"{partition} at {offset}" for partition, offset in sorted(position.next.items()))
        say(f"{position.topic}: {f'partitions {places}' if places else 'from its beginning'}")


@click.command()
@use_case_option
@click.option("--day", "days", type=DAY, multiple=True, help="Compare this day of events; all by default.")
def verify(name: str, days: tuple[datetime, ...]) -> None:
    """Compute features of streamed events again by batch, and compare every cell."""
    from jobs.lakehouse.tables import attach
    from jobs.streams import verify as verifying

    lakehouse, use_case = attach(settings.load()), use_case_named(name)
    wanted: list[date] = [day.date() for day in days] or verifying.days_of(lakehouse, use_case)
    found = verifying.verify(lakehouse, use_case, wanted)
    say(f"{use_case.name}: {found.events:,} events, {found.cells:,} cells compared, {found.different:,} differ")
    if found.not_in_marts:
        say(f"{found.not_in_marts:,} events are not in {use_case.events} yet (`evergreen run` brings them)")
    if found.decided_elsewhere:
        say(f"{found.decided_elsewhere:,} events were decided at another moment by the decision service")
    if found.of_others:
        say(f"{found.of_others} tables are of other declarations than those of now, and were not compared")
    for each in found.examples:
        say(f"  {each.feature} of {each.id}: streamed {each.streamed!r}, batch {each.batch!r}")
    if found.different:
        raise EvergreenError(
            f"{use_case.name}: expected every cell of the stream as a batch computes it, found {found.different:,} "
            "others; keep the tables, and report them"
        )
