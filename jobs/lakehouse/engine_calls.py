"""Calls to an engine that has ended, hangs, or never was one: noticed within seconds, and said in one line.

pyspark would try again for ten minutes, and end in the text of gRPC. Which engine is called: `jobs.lakehouse.engine`.
"""

from __future__ import annotations

import socket
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc
from pyspark.sql.connect.client.core import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

from jobs.lakehouse import engine_token
from jobs.lakehouse.engine_process import EngineLost, EngineProcess, EngineUnreachable
from jobs.secret import Url

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

ANSWER_SECONDS = 15.0
"""What does not speak HTTP/2 within this time is no engine, or hangs."""
ASK_SECONDS = 2.0
SILENT_SECONDS = 5.0
"""A server that was asked twice, and spoke no HTTP/2 within this time, hangs; one that works answers at once."""
LATE_SECONDS = 1.0
"""Where waiting took so much longer than it should, the machine is to blame, and the server's silence says nothing."""
STOPPED_SECONDS = 4.0
"""An engine that a signal stopped may be let go on within this time."""
IDLE_SECONDS = 10.0
"""An embedded engine that answers nobody and used no processor for this long hangs; a busy one may answer late."""
POLL_SECONDS = 1.0
USED_SECONDS = 0.01
"""Processor time of less than this within a poll is none."""


class EngineSilent(EngineUnreachable):
    """Something accepts connections and does not answer them."""


class EngineForeign(EngineUnreachable):
    """Something answers, and is not an engine, or not the one that was meant."""


class Engine(Protocol):
    """The other side of a channel."""

    def wait(self, channel: grpc.Channel) -> None:
        """Return when it answers. Raises EngineUnreachable."""

    def lost(self) -> EngineLost | None:
        """The error of a call, if the engine is known to be gone."""

    def gave_up(self) -> EngineLost:
        """The error of a call that was repeated in vain."""

    def foreign(self) -> EngineForeign:
        """The error of a first call that was answered, but not as an engine does."""


@dataclass(frozen=True)
class EmbeddedEngine:
    """The engine of the home: its process can be looked at."""

    process: EngineProcess

    def wait(self, channel: grpc.Channel) -> None:
        """Return when it answers; it may take long as long as it works. Raises EngineLost, or EngineSilent."""
        idle, used = 0.0, self.process.processor_seconds()
        while not ready(channel, POLL_SECONDS):
            if error := self.lost():
                raise error
            before, used = used, self.process.processor_seconds()
            idle = 0.0 if used - before > USED_SECONDS else idle + POLL_SECONDS
            if idle >= (STOPPED_SECONDS if self.process.condition() == "stopped" else IDLE_SECONDS):
                raise EngineSilent(self._text("found that it answers no calls"))

    def lost(self) -> EngineLost | None:
        """The error of a call, if the process has ended."""
        return EngineLost(self._text("found that it has ended")) if self.process.condition() == "gone" else None

    def gave_up(self) -> EngineLost:
        """The error of a call that was repeated in vain."""
        return EngineLost(self._text("found that it breaks off calls"))

    def foreign(self) -> EngineForeign:
        """The error of a first call that was answered, but not as an engine does."""
        return EngineForeign(self._text("found that it refuses calls"))

    def verify(self) -> None:
        """Raises EngineForeign unless it shows the token of the home's engine."""
        if engine_token.shown(self.process.port, self.process.session_id) != self.process.token.reveal():
            raise EngineForeign(self._text("found another server at its port"))

    def watch(self, client: object) -> None:
        """Until `client` is dropped, kill the process once a signal has stopped it: calls to it would wait for ever."""
        caller = weakref.ref(client)
        threading.Thread(target=self._watch, args=(caller,), name="engine watch", daemon=True).start()

    def _watch(self, caller: weakref.ref[object]) -> None:
        stopped = 0.0
        while caller() is not None and (condition := self.process.condition()) != "gone":
            stopped = stopped + POLL_SECONDS if condition == "stopped" else 0.0
            if stopped > STOPPED_SECONDS:
                self.process.end()
            time.sleep(POLL_SECONDS)

    def _text(self, found: str) -> str:
        return (
            f"embedded engine: expected process {self.process.pid} to answer, {found}; run again, what is done stays "
            f"done (if it happens again, see {self.process.log})"
        )


class RemoteEngine:
    """The server that SPARK_REMOTE names."""

    def __init__(self, url: Url, patience: float = ANSWER_SECONDS) -> None:
        self.url, self._patience = url, patience
        self._silent = threading.Event()

    def watch(self, session: SparkSession, host: str, port: int) -> None:
        """Until `session` is dropped, ask now and then whether the server speaks; if it was silent twice, end the calls
        of the session, which would wait for minutes: servers allow no sign of life more often than in five."""
        watched = weakref.ref(session), host, port
        threading.Thread(target=self._watch, args=watched, name="server watch", daemon=True).start()

    def _watch(self, session: weakref.ref[SparkSession], host: str, port: int) -> None:
        silent, took = 0, 0.0
        while session() is not None and silent < 2:
            time.sleep(max(0.0, ASK_SECONDS - took))
            asked = time.monotonic()
            answered = speaks(host, port, SILENT_SECONDS)
            took = time.monotonic() - asked
            if answered or took < SILENT_SECONDS + LATE_SECONDS:
                silent = 0 if answered else silent + 1
        if calling := session():
            self._silent.set()
            calling.client._channel.close()

    def wait(self, channel: grpc.Channel) -> None:
        """Return when it answers. Raises EngineSilent."""
        if not ready(channel, self._patience):
            raise EngineSilent(
                f"SPARK_REMOTE={self.url}: expected a Spark Connect server, found one that accepts connections and did "
                f"not answer within {self._patience:.0f} s; start one there, or unset SPARK_REMOTE"
            )

    def lost(self) -> EngineLost | None:
        """The error of a call, if the server has fallen silent."""
        return self.gave_up() if self._silent.is_set() else None

    def gave_up(self) -> EngineLost:
        """The error of a call that was repeated in vain."""
        return EngineLost(
            f"SPARK_REMOTE={self.url}: expected the server to answer, found that it broke off a call and answers no "
            "more; start it again and run again, what is done stays done"
        )

    def foreign(self) -> EngineForeign:
        """The error of a first call that was answered, but not as an engine does."""
        return EngineForeign(
            f"SPARK_REMOTE={self.url}: expected a Spark Connect server, found one that refuses its calls; "
            "correct the URL, or unset SPARK_REMOTE"
        )


class Patience(DefaultPolicy):
    """Calls are repeated while their engine may still answer: not if it is known to be gone, else for half a minute."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(max_retries=9, max_backoff=6000, max_server_retry_delay=6000)
        self.engine = engine

    def can_retry(self, e: BaseException) -> bool:
        """Whether the call may be repeated. Raises EngineLost."""
        # A call that is repeated on a channel that was closed meanwhile ends in ValueError.
        if isinstance(e, grpc.RpcError | ValueError) and (error := self.engine.lost()):
            raise error from None
        return super().can_retry(e)

    def to_state(self) -> RetryPolicyState:
        """The tries of one call."""
        return _Tries(self)


class _Tries(RetryPolicyState):
    def next_attempt(self, exception: BaseException | None = None) -> int | None:
        wait = super().next_attempt(exception)
        if wait is None:
            assert isinstance(self.policy, Patience)
            raise self.policy.engine.gave_up() from None
        return wait


class AnsweringChannel(DefaultChannelBuilder):
    """Makes a channel, and hands it out once the other side has answered."""

    def __init__(self, address: str, options: list[tuple[str, int]], engine: Engine) -> None:
        super().__init__(address, options)
        self._engine = engine

    def toChannel(self) -> grpc.Channel:
        """The channel. Raises EngineUnreachable."""
        # A channel that was asked whether it is ready is polled by a thread, for which its end waits: at the end of
        # Python, when threads stand still, for ever.
        asked = super().toChannel()
        try:
            self._engine.wait(asked)
        finally:
            asked.close()
        return super().toChannel()


def speaks(host: str, port: int, seconds: float) -> bool:
    """Whether a server says anything to a client of HTTP/2 within `seconds`; one with TLS says that it expected TLS."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            )  # RFC 9113, 3.4
            connection.recv(1)
    except ConnectionResetError:
        return True
    except OSError:
        return False
    return True


def ready(channel: grpc.Channel, seconds: float) -> bool:
    """Whether the other side speaks HTTP/2, as it shows within `seconds`."""
    future = grpc.channel_ready_future(channel)
    try:
        future.result(timeout=seconds)
    except grpc.FutureTimeoutError:
        future.cancel()
        return False
    return True
