"""Where the counts of a server are, and how Prometheus reads them: of this worker, or of all workers together."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.responses import Response

from serving.telemetry.tally import flush_all

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one server leave their counts for each other; set before any metric is made."""
OWN = CollectorRegistry()
"""Holds every metric of this process."""
_OF_LIVE = re.compile(r"gauge_live\w*_(\d+)\.db")


def registry(several_workers: bool) -> CollectorRegistry:
    """The counts of this worker up to now, or those of all of them if there are several."""
    flush_all()
    if not several_workers:
        return OWN
    found = CollectorRegistry()
    collector = MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    _forget_dead(Path(collector._path))
    return found


def _forget_dead(folder: Path) -> None:
    """Drop the states of workers that are gone; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        found = _OF_LIVE.fullmatch(file.name)
        if found and not psutil.pid_exists(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]


def response(several_workers: bool) -> Response:
    """All counts of the server, in the text format of Prometheus; of all workers if there are several."""
    return Response(generate_latest(registry(several_workers)), media_type=CONTENT_TYPE_LATEST)
