"""A local Kafka broker on loopback: one node that is its own controller (KRaft), whose topics outlive it.

For the tests, and for those who have no Kafka (`evergreen kafka`). Nothing is read or sent here.
"""

import base64
import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from jobs.java_servers import process
from jobs.java_servers.jars import fetch_jars, read_jars
from jobs.java_servers.java import ServerNotReady, find_java
from jobs.java_servers.process import Running, port_for_server
from jobs.loopback import HOST, ending_with_parent, free_port
from jobs.settings import Settings

JARS_FILE = Path(__file__).with_name("kafka_jars.txt")
# One compiler, one collector and a small heap: it starts in half the time, in 220 MB.
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN")
LAPTOP = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": "4",
    # Messages are kept for good: replayed ones may be of years ago.
    "log.retention.ms": "-1",
    "group.initial.rebalance.delay.ms": "0",
    # One node holds the only copy; the defaults are for three nodes, and for many clients.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # After a kill the controller waits as long for the broker that was, before it takes the new one.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # The default of 128 MB would be half of the heap.
    "log.cleaner.dedupe.buffer.size": "16777216",
}


@dataclass(frozen=True)
class Prepared:
    """A machine ready to start a broker: everything `start` needs."""

    java: Path
    jars: tuple[Path, ...]

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of a program of Kafka's."""
        return [str(self.java), *JVM, "-cp", os.pathsep.join(map(str, self.jars)), program, *arguments]


def prepare(cache: Path) -> Prepared:
    """Find Java, fetch and verify the jars; quick when all of it is there. Raises ServerNotReady."""
    java = find_java(os.environ)
    return Prepared(java, fetch_jars(read_jars(JARS_FILE), cache.absolute() / "jars", os.environ))


def start(prepared: Prepared, port: int | None, folder: Path, options: Mapping[str, str] | None = None) -> Running:
    """Start a broker on what `folder` holds of earlier ones, and wait until it answers.

    `port` None takes a free one, `options` overrule `LAPTOP`. The broker ends with this process (on Linux with the
    calling thread: start it from one that lasts). Raises ServerNotReady.
    """
    folder, port = folder.absolute(), port_for_server(port)
    folder.mkdir(parents=True, exist_ok=True)
    with _log_of_one(folder / "kafka.log") as log:
        file = _properties(port, folder, options or {})
        if not (folder / "data" / "meta.properties").exists():
            _format(prepared, file)
        command = ending_with_parent(prepared.command("kafka.Kafka", str(file)))
        return process.start(command, f"kafka://{HOST}:{port}", file.parent, log, os.environ)


@contextlib.contextmanager
def _log_of_one(path: Path) -> Iterator[IO[bytes]]:
    """The log, locked; a broker that writes it keeps the lock until it ends. Raises ServerNotReady if one does.

    Kafka's own lock comes too late: a second broker has written into the records of the controller by then.
    """
    with path.open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServerNotReady(
                f"{path.parent}: expected topics that no broker uses, found one that runs on them; use that one, or "
                "end it first"
            ) from error
        yield log


def _properties(port: int, folder: Path, options: Mapping[str, str]) -> Path:
    """The file of the broker's properties, in a folder that ends with it."""
    file = folder / "work" / "server.properties"
    file.parent.mkdir(exist_ok=True)
    properties = LAPTOP | _places(port, folder / "data") | dict(options)
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return file


def _places(port: int, data: Path) -> dict[str, str]:
    """Where the broker listens, as a broker and as its own controller, and where it keeps topics."""
    controller = f"{HOST}:{free_port()}"
    return {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{controller}",
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(data),
    }


def _format(prepared: Prepared, properties: Path) -> None:
    """Make the folder of topics, under an identity of its own."""
    cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
    command = prepared.command("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={properties}")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ServerNotReady(f"Kafka could not make the folder of its topics:\n{(done.stdout + done.stderr)[-2000:]}")


def foreground(settings: Settings, port: int, say: Callable[[str], None]) -> int:
    """Run a broker on this home's topics until it ends or is interrupted; returns an exit status.

    Raises ServerNotReady.
    """
    say("Making sure that Java and the jars are there (a minute, the first time) ...")
    running = start(prepare(settings.home / "cache"), port, settings.home / "kafka")
    say(f"Kafka answers; its log is {running.log}. Ctrl-C ends it, its topics stay. In another terminal:")
    say(f"  export EVERGREEN_STREAM={running.url}")
    return running.attend()
