"""What a person asks of a running stream, and what it says of itself: two small files of the home."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from jobs.errors import EvergreenError
from jobs.processes import is_alive
from jobs.settings import Settings
from jobs.state_files import file_lock, read_memory, replace_bytes, replace_json
from jobs.streams import textfile
from jobs.streams.topic_changes import Change
from jobs.use_case import UseCase

Condition = Literal["starting", "running", "paused", "waiting", "ended", "failed"]
"""Starting: its state is made of tables, for minutes maybe. Waiting: nobody answers, or a topic is not there yet."""


class Taken(EvergreenError, RuntimeError):
    """Another process runs the stream of this use case."""


@dataclass(frozen=True)
class Heartbeat:
    """What a stream said of itself last."""

    at: float
    """Seconds since 1970."""
    process: str
    """As `jobs.processes` names it."""
    condition: Condition
    why: str = ""
    """Why it waits or failed, or why it computes no features."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of messages since it started."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """Topic -> messages that are there and were not taken yet."""
    positions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Topic -> partition -> offset of the first message that is not taken."""
    stamp: int = 0
    """The last stamp, in microseconds since 1970."""
    left_out: Mapping[str, list[str]] = field(default_factory=dict)
    """Topic -> names in messages that are no column."""
    changes: Mapping[str, list[Change]] = field(default_factory=dict)
    """Topic -> what happened to it beside messages, the latest last."""

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        return self.condition not in ("ended", "failed") and is_alive(self.process)


def folder(settings: Settings, use_case: UseCase) -> Path:
    """Where a home keeps what streams of a use case say; nothing there is needed to go on."""
    return settings.home / "streams" / use_case.name


def journal(settings: Settings, use_case: UseCase) -> Path:
    """Where features keep what came; another process that begins there anew leaves what this one has open."""
    return folder(settings, use_case) / "journal"


def lock_file(settings: Settings, use_case: UseCase) -> Path:
    """What the one process that runs the stream holds locked."""
    return settings.home / "locks" / f"stream.{use_case.name}.lock"


def heartbeat(settings: Settings, use_case: UseCase) -> Heartbeat | None:
    """What the stream said last; None if it never ran."""
    return read_memory(folder(settings, use_case) / "heartbeat.json", lambda stored: Heartbeat(**stored))


def is_set_up(settings: Settings, use_case: UseCase) -> bool:
    """Whether topics are sources here: brokers are named, or the stream of the use case ran before."""
    return settings.stream_url is not None or heartbeat(settings, use_case) is not None


def beat(settings: Settings, use_case: UseCase, said: Heartbeat) -> None:
    """Write down what a stream says of itself, for us and for Prometheus."""
    replace_json(folder(settings, use_case) / "heartbeat.json", asdict(said))
    replace_bytes(textfile.path(settings, use_case), textfile.text(use_case, said).encode())


def is_paused(settings: Settings, use_case: UseCase) -> bool:
    """Whether a person asked the stream to pause."""
    return bool(read_memory(folder(settings, use_case) / "paused.json", lambda stored: stored["paused"]))


def pause(settings: Settings, use_case: UseCase, paused: bool) -> None:
    """Ask the stream to pause, or to go on; also one that is started later."""
    replace_json(folder(settings, use_case) / "paused.json", {"paused": paused})


@contextlib.contextmanager
def only_one(settings: Settings, use_case: UseCase) -> Iterator[None]:
    """Held by the one process that runs the stream, or sets it back; freed by the kernel if it dies. Raises Taken."""

    def taken() -> None:
        said = heartbeat(settings, use_case)
        who = f"process {said.process.partition('@')[0]}" if said is not None else "another process"
        raise Taken(
            f"{use_case.name}: expected no stream of this use case to run, found {who}; end it first, or look at it by "
            "`evergreen stream status`"
        )

    with file_lock(lock_file(settings, use_case), taken):
        yield


@contextlib.contextmanager
def only_successor(settings: Settings, use_case: UseCase) -> Iterator[None]:
    """Held by the one process that makes features beside those of the one that runs. Raises Taken."""

    def taken() -> None:
        raise Taken(
            f"{use_case.name}: expected no other process to take the stream over, found one that makes all features "
            "anew; wait for it, or end it"
        )

    lock = lock_file(settings, use_case)
    with file_lock(lock.with_name(f"successor.{lock.name}"), taken):
        yield
