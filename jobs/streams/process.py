"""The process of one use case's stream: steps and commits until it is told to end, and a heartbeat every second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from threading import Event

from jobs import pauses
from jobs.lakehouse.tables import attach
from jobs.messages.connection import StreamUnreachable
from jobs.messages.position import Position, PositionLost
from jobs.messages.registry import RegistryError
from jobs.online.scanning import prepared
from jobs.processes import this_process
from jobs.settings import Settings
from jobs.streams import control, handover, succession
from jobs.streams.control import Condition, Heartbeat
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.starting import start_features
from jobs.streams.stream import Stream
from jobs.streams.succession import Successor
from jobs.streams.topic_changes import TopicChanges
from jobs.use_case import UseCase

STEP_SECONDS = 0.02
"""How long a step waits for messages."""
BEAT_SECONDS = 1.0
PATIENCE_SECONDS = 1.0
"""Between two looks for a broker that does not answer, or for leave to go on."""
MOST_ROWS = 100_000
"""Rows that wait for a commit: with more, steps wait until the one before is durable and it is begun."""
FEATURES_SECONDS = 30.0
"""Between two looks for marts that features can start from."""


@dataclass
class Process:
    """A stream that runs."""

    settings: Settings
    use_case: UseCase
    open: Callable[[Rebuilding | None], Stream]
    """Is given what was made beside tables of other declarations, if this process takes over from another."""
    commit_seconds: float = 2.0
    """Between two commits; features are in the online store before."""
    successor: Successor | None = None
    """What takes over where declarations change."""
    _changes: TopicChanges = field(init=False)

    def run(self, end: Event, started: Callable[[Stream], None] = lambda _: None) -> Stream:
        """Run until `end` is set, and commit; returns the stream, which is closed. `started` is called once it is open.

        Raises control.Taken if another process runs it (see `succession.turn`), PositionLost if messages are gone.
        """
        prepared.prepare_beside()
        with succession.turn(attach(self.settings), self.use_case, end) as rebuilding:
            stream = self._opened(rebuilding)
            started(stream)
            before = control.heartbeat(self.settings, self.use_case)
            self._changes = TopicChanges({} if before is None else before.changes, _places(stream))
            try:
                self._loop(stream, end)
                stream.commit()
                self._beat(stream, "ended", "")
            except BaseException as error:
                if isinstance(error, PositionLost):
                    self._changes.lost(error)
                self._beat(stream, "failed", str(error))
                raise
            finally:
                stream.close()
            return stream

    def _opened(self, rebuilding: Rebuilding | None) -> Stream:
        self._say("starting", "")
        try:
            stream = self.open(rebuilding)
        except Exception as error:
            self._say("failed", str(error))
            raise
        pauses.share_quickly()
        pauses.spare_the_collector()
        return stream

    def _say(self, condition: Condition, why: str) -> None:
        """Say how it is of a stream that is not open: all else is as the one before left it."""
        before = control.heartbeat(self.settings, self.use_case) or Heartbeat(0.0, "", condition)
        said = replace(before, at=time.time(), process=this_process(), condition=condition, why=why)
        control.beat(self.settings, self.use_case, said)

    def _loop(self, stream: Stream, end: Event) -> None:
        committed = beaten = looked = time.monotonic()
        while not end.is_set() and not handover.is_asked(self.settings, self.use_case):
            now = time.monotonic()
            is_due = (now - committed > self.commit_seconds and not stream.is_committing) or stream.rows > MOST_ROWS
            condition, why = self._once(stream, is_due)
            committed = now if is_due else committed
            if now - looked > FEATURES_SECONDS:
                looked = now
                if self.successor is not None:
                    self.successor.look()
                if stream.note or stream.is_behind_marts:
                    self._start_features(stream)
            if now - beaten > BEAT_SECONDS or condition != "running":
                self._beat(stream, condition, why or stream.note or self._change)
                beaten = now
            if condition != "running":
                end.wait(PATIENCE_SECONDS)

    @property
    def _change(self) -> str:
        return "" if self.successor is None else self.successor.note

    def _start_features(self, stream: Stream) -> None:
        """Let features stand on the marts of now, with all that was computed before made durable."""
        with contextlib.suppress(StreamUnreachable):
            if stream.commit():
                start_features(stream)
                pauses.spare_the_collector()

    def _once(self, stream: Stream, is_due: bool) -> tuple[Condition, str]:
        """A step, and a commit if one is due; while a stream pauses, what it took before is committed."""
        paused = control.is_paused(self.settings, self.use_case)
        try:
            if paused:
                stream.commit()
            elif is_due:
                stream.begin_commit()
            if not paused:
                stream.step(STEP_SECONDS)
        except (StreamUnreachable, RegistryError) as error:
            return "waiting", str(error)
        if paused:
            return "paused", "a person asked for it (`evergreen stream resume` lets it go on)"
        return "running", stream.publish_error

    def _beat(self, stream: Stream, condition: Condition, why: str) -> None:
        topics, places = {topic: source.name for topic, source in stream.topics.sources.items()}, _places(stream)
        self._changes.look(places)
        said = Heartbeat(
            time.time(), this_process(), condition, why, asdict(stream.counts), stream.reader.lag(),
            {place.topic: place.told()["next"] for place in places}, stream.clock.last,
            {topic: sorted(stream.intakes[name].undeclared) for topic, name in topics.items()}, self._changes.told,
        )  # fmt: skip
        control.beat(self.settings, self.use_case, said)


def _places(stream: Stream) -> list[Position]:
    return [stream.reader.position(topic) for topic in stream.topics.sources]
