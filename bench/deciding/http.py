"""Throughput over HTTP: decisions against a service written by hand, and the model alone against servers of models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from common import spread

from deciding.home import Day
from deciding.load import Load, Make, closed, request
from deciding.payments import Payments
from deciding.rivals import start
from deciding.rivals.start import Graph, Rival
from deciding.servers import Server, ours
from jobs.promotion import export_onnx
from jobs.use_cases.fraud import FRAUD


def graph_of(day: Day, folder: Path) -> Graph:
    """The graph in service, for others."""
    exported = export_onnx.current(day.settings, FRAUD)
    assert exported is not None
    file = exported.folder / export_onnx.BUNDLE / "model.onnx"
    return Graph(file, len(exported.bundle.manifest.names), folder)


def asked(server: Server, make: Make, seconds: float) -> dict[str, float]:
    """A round of requests without a pause: a second, and microseconds of the server's processors for each."""
    before = server.cpu()
    load = closed(server.port, make, seconds)
    require(load)
    return {"per_second": load.rate, "cpu": (server.cpu() - before) / len(load.latencies) * 1e6}


def require(load: Load) -> None:
    """Raise AssertionError if a request failed."""
    assert not load.failures, (len(load.failures), load.failures[:3])


@contextmanager
def deciding(day: Day, folder: Path, *arguments: str) -> Iterator[tuple[Server, Payments]]:
    """A server that decides, warm, and payments for it."""
    with ours(day.copy(folder / "home"), *day.as_of, *arguments) as server:
        server.pin()
        payments = Payments(day, server.port)
        require(closed(server.port, payments, requests=len(payments.pairs)))
        yield server, payments


@contextmanager
def echo(day: Day, folder: Path) -> Iterator[tuple[Server, Make]]:
    """The service by hand, warm."""
    with start.echo(graph_of(day, folder)) as rival:
        yield _warm(rival.server, rival.request)


def measured(day: Day, folder: Path, seconds: float) -> dict[str, Any]:
    """Rounds of so many seconds, in turns; the model's servers are there one after another, each beside ours."""
    found: dict[str, Any] = {}
    with deciding(day, folder / "ours") as mine, echo(day, folder / "echo") as theirs:
        rounds = [(asked(*mine, seconds), asked(*theirs, seconds)) for _ in range(3)]
        found["decisions_against_echo"] = compared(rounds)
        infer = request(mine[0].port, "/v2/models/fraud/infer", graph_of(day, folder).infer)
        model = _warm(mine[0], infer)
        for name, begin in start.OF_MODELS.items():
            try:
                found[f"model_against_{name}"] = _against(model, begin(graph_of(day, folder / name)), seconds)
            except Exception as error:
                found[f"model_against_{name}"] = {"not_measured": f"{type(error).__name__}: {str(error)[-500:]}"}
            print(name, found[f"model_against_{name}"], flush=True)
    return found


def _against(ours: tuple[Server, Make], theirs: AbstractContextManager[Rival], seconds: float) -> dict[str, Any]:
    with theirs as rival:
        other = _warm(rival.server, rival.request)
        return compared([(asked(*ours, seconds), asked(*other, seconds)) for _ in range(3)])


def compared(rounds: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """How many times as many requests ours answers, by the clock and by its processor time."""
    return {
        "times_as_many": spread((mine["per_second"] / its["per_second"] for mine, its in rounds), 2),
        "times_as_many_by_processor": spread((its["cpu"] / mine["cpu"] for mine, its in rounds), 2),
        "per_second": [round(median(one[n]["per_second"] for one in rounds)) for n in (0, 1)],
        "microseconds_of_processor": [round(median(one[n]["cpu"] for one in rounds)) for n in (0, 1)],
    }


def _warm(server: Server, content: bytes) -> tuple[Server, Make]:
    server.pin()
    require(closed(server.port, lambda: content, requests=300))
    return server, lambda: content
