"""A server under load for long, and one whose model is exchanged under full load: memory, failures, lost rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from deciding.agreement import judged
from deciding.home import VERSIONS, Day, put_pointer
from deciding.http import deciding
from deciding.load import closed, opened
from deciding.servers import Server
from jobs.settings import Settings

SWAP_SECONDS, SWAPS = 10.0, 8
SAMPLE_SECONDS = 1.0


def measured(day: Day, folder: Path, seconds: float) -> dict[str, Any]:
    """Swaps under full load, then half of the own maximum for so long."""
    with deciding(day, folder) as (server, payments):
        home = Settings(home=folder / "home")
        most = closed(server.port, payments, SWAP_SECONDS / 2)
        with swapping(home) as swaps:
            swapped = closed(server.port, payments, SWAP_SECONDS)
        versions = {version for version in VERSIONS for body in swapped.answers or () if _named(version) in body}
        told = {
            "swaps": len(swaps), "requests": len(swapped.latencies), "failed": len(swapped.failures),
            "versions": sorted(versions),
        }  # fmt: skip
        print("swaps under full load:", told, flush=True)
        with sampled(server) as resident:
            load = opened(server.port, payments, most.rate / 2, seconds)
    told_of_soak = {
        "seconds": seconds, "requests": len(load.latencies), "failed": len(load.failures), "ms": load.percentiles()
    }  # fmt: skip
    soak = told_of_soak | _growth(resident, most.rate / 2)
    print("soak:", soak, flush=True)
    return {"swap": told, "soak": soak, "log": judged(home, payments.count)}


def _named(version: int) -> bytes:
    return f'"model_version":"{version}"'.encode()


@contextmanager
def swapping(home: Settings) -> Iterator[list[int]]:
    """Lets one model after the other be in service; the versions so far."""
    swaps: list[int] = []
    ended = threading.Event()

    def swap() -> None:
        while not ended.wait(SWAP_SECONDS / SWAPS):
            swaps.append(VERSIONS[(len(swaps) + 1) % len(VERSIONS)])
            put_pointer(home, swaps[-1])

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swaps
    finally:
        ended.set()
        thread.join()


@contextmanager
def sampled(server: Server) -> Iterator[list[tuple[float, int]]]:
    """Bytes of the worker once a second, with the seconds since the start."""
    found: list[tuple[float, int]] = []
    ended, start = threading.Event(), time.monotonic()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            found.append((time.monotonic() - start, server.resident()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _growth(resident: list[tuple[float, int]], rate: float) -> dict[str, Any]:
    """Megabytes at the start and the end, and bytes by which each decision let the worker grow in the second half."""
    sizes = [size for _, size in resident]
    part = max(len(sizes) // 10, 1)
    half = resident[len(resident) // 2 :]
    slope = np.polyfit([at for at, _ in half], [size for _, size in half], 1)[0] if len(half) > 1 else 0.0
    return {
        "megabytes": [round(median(each) / 1e6, 1) for each in (sizes[:part], sizes[-part:])],
        "bytes_per_decision": round(slope / rate),
    }
