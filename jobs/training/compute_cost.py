"""What work costs: seconds of CPU and GPU, memory at its peak, and money at the price of the settings."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import psutil

from jobs.settings import Settings

_SAMPLE_SECONDS = 0.05


@dataclass
class Cost:
    """Of one piece of work of this process, all threads; complete once its `measured` block has ended."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    """For which a GPU was held."""
    peak_bytes: int = 0
    """Largest resident memory of the process meanwhile; what it held before counts too."""
    money: float = 0.0

    @property
    def numbers(self) -> dict[str, float]:
        return {name: float(value) for name, value in asdict(self).items()}


@contextmanager
def measured(settings: Settings, device: str = "cpu", thread: bool = False) -> Iterator[Cost]:
    """Measure the work in the block; with `thread`, the CPU seconds of this thread alone."""
    cost, done = Cost(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(cost, done), daemon=True)
    watcher.start()
    cpu_seconds = time.thread_time if thread else _cpu_seconds
    began, cpu_began = time.perf_counter(), cpu_seconds()
    try:
        yield cost
    finally:
        cost.seconds, cost.cpu_seconds = time.perf_counter() - began, cpu_seconds() - cpu_began
        cost.gpu_seconds = cost.seconds if device == "cuda" else 0.0
        cost.money = (cost.cpu_seconds * settings.price_cpu_hour + cost.gpu_seconds * settings.price_gpu_hour) / 3600
        done.set()
        watcher.join()


def per_thousand(settings: Settings, score: Callable[[], object], rows: int) -> dict[str, float]:
    """CPU seconds and money of 1,000 predictions, from one call of `score` that makes `rows` of them."""
    score()
    with measured(settings) as cost:
        score()
    return {"cpu_seconds_per_1000": cost.cpu_seconds * 1000 / rows, "money_per_1000": cost.money * 1000 / rows}


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _watch(cost: Cost, done: threading.Event) -> None:
    process = psutil.Process()
    while True:
        cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss)
        if done.wait(_SAMPLE_SECONDS):
            return
