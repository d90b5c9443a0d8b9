"""What a stream says of itself as a text of Prometheus, for the textfile collector of node_exporter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.streams.control import Heartbeat

Sample = tuple[Mapping[str, str], float]
"""Labels, and a value."""


def path(settings: Settings, use_case: UseCase) -> Path:
    """The file; the folder holds nothing else."""
    return settings.home / "metrics" / f"stream_{use_case.name}.prom"


def text(use_case: UseCase, said: Heartbeat) -> str:
    """Condition, lag, counts and freshness. Counts begin anew with each process."""
    beat = [({"condition": said.condition}, said.at)]
    lag = [({"topic": topic}, float(count)) for topic, count in said.lag.items()]
    counts = [({"outcome": outcome}, float(count)) for outcome, count in said.counts.items()]
    families = [
        _family("heartbeat_seconds", "gauge", "Moment of the last heartbeat, since 1970.", use_case, beat),
        _family("lag", "gauge", "Messages of a topic that were not taken yet.", use_case, lag),
        _family("rows_total", "counter", "What became of messages since the start.", use_case, counts),
        _family("last_message_seconds", "gauge", "Stamp of the last message, since 1970.", use_case,
                [({}, said.stamp / 1e6)]),
    ]  # fmt: skip
    return "".join(families)


def _family(name: str, kind: str, says: str, use_case: UseCase, samples: Iterable[Sample]) -> str:
    full = f"evergreen_stream_{name}"
    lines = [f"{full}{_labels({'use_case': use_case.name, **labels})} {value!r}" for labels, value in samples]
    return "\n".join([f"# HELP {full} {says}", f"# TYPE {full} {kind}", *lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    """Texts of JSON are escaped as labels are."""
    return "{" + ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"
