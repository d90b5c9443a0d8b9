"""Engines that end or stand still during a call, and others that listen where one was: one line, and soon."""

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from jobs import settings
from jobs.lakehouse import engine, engine_process, spark_server
from jobs.lakehouse.engine_process import EngineLost, EngineProcess, EngineUnreachable
from jobs.lakehouse.tables import attach
from jobs.settings import ROOT, Settings

CACHE = ROOT / ".cache"
LONG = "select sum(a.id * b.id) from range(300000) a cross join range(300000) b"
SOON = 40.0
"""Seconds of patience with a busy machine; pyspark alone would have 600."""


def serving(home: Settings) -> EngineProcess:
    process = engine_process.running(home)
    assert process is not None
    return process


def one(home: Settings) -> int:
    return int(attach(home).spark.sql("select 1").collect()[0][0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.timeout(120)
def test_an_engine_that_ends_or_stands_still_in_a_call_is_told_in_one_line_and_replaced(
    home: Settings, number: signal.Signals
) -> None:
    lakehouse = attach(home)
    spark, process = lakehouse.spark, serving(home)
    threading.Timer(1.0, os.kill, (process.pid, number)).start()
    began = time.monotonic()
    with pytest.raises(EngineLost) as raised:
        spark.sql(LONG).collect()
    assert time.monotonic() - began < SOON
    assert "\n" not in str(raised.value) and str(process.log) in str(raised.value)
    assert lakehouse.spark.sql("select 1").collect()[0][0] == 1
    assert serving(home).pid != process.pid


@pytest.mark.timeout(120)
def test_an_engine_that_stands_still_between_calls_is_replaced(home: Settings) -> None:
    engine.url(home)
    process = serving(home)
    os.kill(process.pid, signal.SIGSTOP)
    assert one(home) == 1
    assert serving(home).pid != process.pid


@pytest.mark.timeout(120)
def test_an_engine_that_stands_still_can_be_stopped(home: Settings) -> None:
    engine.url(home)
    process = serving(home)
    os.kill(process.pid, signal.SIGSTOP)
    engine.stop(home)
    assert process.condition() == "gone" and engine_process.running(home) is None


@pytest.mark.timeout(180)
def test_a_server_of_spark_remote_that_stands_still_in_a_call_is_told_in_one_line(home: Settings) -> None:
    engine.url(home)
    process = serving(home)
    remote = settings.load({"EVERGREEN_HOME": str(home.home), "SPARK_REMOTE": f"sc://127.0.0.1:{process.port}"})
    client = engine.Client(remote, lambda _: None)
    spark = client.session()
    threading.Timer(1.0, os.kill, (process.pid, signal.SIGSTOP)).start()
    with pytest.raises(EngineLost, match=r"SPARK_REMOTE=.*start it again") as raised:
        spark.sql(LONG).collect()
    assert "\n" not in str(raised.value)
    os.kill(process.pid, signal.SIGCONT)
    # It first goes on with what it stood still in, which on a busy machine leaves it little time to answer.
    assert patiently(lambda: client.session().sql("select 1").collect()[0][0]) == 1


def patiently(call: Callable[[], int]) -> int:
    """The result of a call that may find its engine silent, for at most a minute and a half."""
    ends = time.monotonic() + 90
    while True:
        try:
            return call()
        except EngineUnreachable:
            if time.monotonic() > ends:
                raise


@pytest.fixture
def own_spark(tmp_path: Path) -> Iterator[spark_server.Running]:
    """A real Spark of this test alone, which it may stop."""
    prepared = spark_server.prepare(CACHE, ROOT / "requirements.lock")
    running = spark_server.start(prepared, None, tmp_path / "warehouse", tmp_path, options=spark_server.QUICK_TO_WARM)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.spark
@pytest.mark.timeout(400)
def test_a_real_spark_that_stands_still_or_is_killed_in_a_call_is_told_in_one_line_and_soon(
    tmp_path: Path, own_spark: spark_server.Running
) -> None:
    remote = settings.load({"EVERGREEN_HOME": str(tmp_path / "home"), "SPARK_REMOTE": own_spark.url})
    client = engine.Client(remote, lambda _: None)
    assert client.session().sql("select 1").collect()[0][0] == 1
    for number in (signal.SIGSTOP, signal.SIGKILL):
        spark = client.session()
        threading.Timer(2.0, os.killpg, (own_spark.pid, number)).start()
        began = time.monotonic()
        with pytest.raises(EngineUnreachable, match=r"SPARK_REMOTE=") as raised:
            spark.sql(LONG).collect()
        assert time.monotonic() - began < 2 * SOON
        assert "\n" not in str(raised.value)
        if number == signal.SIGSTOP:
            os.killpg(own_spark.pid, signal.SIGCONT)
    with pytest.raises(EngineUnreachable, match=r"SPARK_REMOTE=.*start it"):
        client.session()


@contextmanager
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def web() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


Listener = Callable[[], AbstractContextManager[int]]


@pytest.mark.parametrize("listener", [silent, web])
@pytest.mark.timeout(120)
def test_another_listener_on_the_recorded_port_is_not_taken_for_the_engine(home: Settings, listener: Listener) -> None:
    with listener() as port:
        for pid in (os.getpid(), 2**22 - 1):  # a process of today, and none
            record(home, {"pid": pid, "started": 1.0, "port": port, "session_id": str(uuid.uuid4()), "token": "0" * 64})
            assert engine_process.running(home) is None
        assert one(home) == 1
        assert serving(home).port != port


@pytest.mark.timeout(120)
def test_the_engine_of_another_home_is_not_taken_for_the_own(home: Settings, tmp_path: Path) -> None:
    other = settings.load({"EVERGREEN_HOME": str(tmp_path / "other")})
    try:
        engine.url(other)
        foreign = json.loads((other.home / "engine" / "server.json").read_text())
        record(home, {**foreign, "pid": os.getpid(), "started": 1.0})
        assert one(home) == 1
        assert serving(home).pid != foreign["pid"]
        # Its process and port, as a record that outlived its engine might name them: only the token is another.
        record(home, {**foreign, "token": "0" * 64})
        assert serving(home).pid == foreign["pid"] and one(home) == 1
        assert serving(home).pid != foreign["pid"]
        assert serving(other).pid == foreign["pid"] and one(other) == 1  # it was left alone
    finally:
        engine.stop(other)


def test_what_a_client_must_know_of_an_engine_is_in_no_list_of_processes(home: Settings) -> None:
    engine.url(home)
    process = serving(home)
    words = " ".join(psutil.Process(process.pid).cmdline())
    assert process.token.reveal() and process.token.reveal() not in words and process.session_id not in words
    assert process.token.reveal() not in repr(process)


@pytest.mark.parametrize("listener", [silent, web])
@pytest.mark.timeout(120)
def test_a_spark_remote_that_is_no_spark_is_told_in_one_line(tmp_path: Path, listener: Listener) -> None:
    with listener() as port:
        wrong = settings.load({"EVERGREEN_HOME": str(tmp_path), "SPARK_REMOTE": f"sc://127.0.0.1:{port}"})
        with pytest.raises(EngineUnreachable, match=r"SPARK_REMOTE=.*expected a Spark Connect server") as raised:
            one(wrong)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"pid": "x", "port": null}'])
def test_a_damaged_state_file_names_no_engine(home: Settings, text: str) -> None:
    record(home, {})
    (home.home / "engine" / "server.json").write_text(text)
    assert engine_process.running(home) is None


def record(home: Settings, state: object) -> None:
    file = home.home / "engine" / "server.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(state))
