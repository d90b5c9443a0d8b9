"""`evergreen stream run`, `pause` and `resume`: the work is in `jobs.streams.process`."""

from __future__ import annotations

import signal
import sys
from functools import partial
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import Between, use_case_named, use_case_option
from orchestration.printing import say

if TYPE_CHECKING:
    from jobs.streams.stream import Counts, Stream


@click.command()
@use_case_option
@click.option(
    "--commit-seconds",
    type=Between(0.05, 3600),
    default=2.0,
    show_default=True,
    help="Between two commits of tables; the online store has features before.",
)
def run(name: str, commit_seconds: float) -> None:
    """Read the topics of a use case into raw tables, features and the online store, until told to end.

    It goes on where the last one ended, whatever ended it. One process at a time runs the stream of a use case. Where a
    night's features are of other declarations, a process of the code as it is then makes them and takes over.
    """
    from jobs.lakehouse.tables import attach
    from jobs.spark_streams import opening
    from jobs.streams.process import Process
    from jobs.streams.succession import EndedBefore, Successor

    own, use_case, end = settings.load(), use_case_named(name), Event()
    _end_by_signals(end)
    with Successor(attach(own), use_case, [sys.executable, *sys.orig_argv[1:]]) as successor:
        process = Process(own, use_case, partial(opening.open_of, own, use_case), commit_seconds, successor)
        try:
            _tell_counts(process.run(end, _tell_topics).counts)
        except EndedBefore:
            return
        status = 0 if end.is_set() else successor.wait(end)
    sys.exit(status)


def _tell_topics(stream: Stream) -> None:
    say(f"Reading {', '.join(stream.topics.names)} (end it with Ctrl-C)")


def _tell_counts(counts: Counts) -> None:
    say(
        f"{counts.messages:,} messages: {counts.new:,} rows, {counts.repeated:,} repetitions, {counts.bad:,} in "
        f"quarantine, {counts.waiting:,} waited, {counts.released:,} of those let in; "
        f"{counts.features:,} events with features"
    )


def _end_by_signals(end: Event) -> None:
    def told(number: int, frame: FrameType | None) -> None:
        end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, told)


@click.command()
@use_case_option
def pause(name: str) -> None:
    """Let the stream of a use case commit what it has and read nothing until `resume`, also after a restart."""
    _pause(name, True)


@click.command()
@use_case_option
def resume(name: str) -> None:
    """Let a paused stream go on."""
    _pause(name, False)


def _pause(name: str, paused: bool) -> None:
    from jobs.streams import control

    use_case = use_case_named(name)
    control.pause(settings.load(), use_case, paused)
    say(f"{use_case.name}: the stream {'pauses' if paused else 'goes on'}")
