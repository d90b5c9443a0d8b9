"""The sensor that looks at a stream once a minute: tells Dagster how it is, and people when something is wrong.

It starts nothing: `evergreen up`, systemd or Kubernetes keep the process alive (docs/operation/streams.md).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import dagster as dg

from assets import stream_events
from assets.ingest import utc_now
from assets.stream_events import Event
from jobs.alerts import stream_alerts
from jobs.lakehouse.tables import attach
from jobs.messages.topics import Topics, topics_of
from jobs.settings import Settings
from jobs.streams import control, health
from jobs.streams.health import Look, Seen
from jobs.streams.refused import refused
from jobs.use_case import UseCase
from orchestration.ticks import in_one_line

SECONDS = 60
"""Between two looks, so that there is at most one event of each topic a minute."""


@dataclass(frozen=True)
class Memory:
    """What earlier looks found and told."""

    looks: list[Look] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    """What was told by name, as a digest."""

    @classmethod
    def of(cls, cursor: str | None) -> Memory:
        """The memory that the cursor of the sensor holds."""
        stored = json.loads(cursor) if cursor else {"looks": [], "told": {}}
        return cls([Look(**each) for each in stored["looks"]], stored["told"])

    def looked(self, look: Look) -> list[Look]:
        """The last looks, with one more."""
        return [*self.looks, look][-health.KEPT_LOOKS :]


def build(settings: Settings, use_case: UseCase, now: Callable[[], datetime] = utc_now) -> dg.SensorDefinition:
    """The sensor of a use case whose stream is set up."""

    @dg.sensor(
        name=f"{use_case.name}_stream",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Observes topics and streamed features, and alerts (docs/operation/streams.md).",
    )
    @in_one_line
    def stream(context: dg.SensorEvaluationContext) -> Any:
        said, moment = control.heartbeat(settings, use_case), now()
        if said is None:
            return dg.SkipReason("the stream has not run yet: `evergreen stream run` starts it")
        memory = Memory.of(context.cursor)
        looks = memory.looked(health.look(said, moment.timestamp()))
        topics = topics_of(settings, use_case)
        seen = Seen(said, looks, _refused(settings, topics, moment))
        alerts = stream_alerts.settle(settings, use_case, seen, moment)
        events, told = _new(settings, topics, seen, memory.told, moment)
        text = " ".join(alert.message for alert in alerts) or f"the stream is {seen.looks[-1].state}"
        cursor = json.dumps(asdict(Memory(list(seen.looks), told)))
        return dg.SensorResult(skip_reason=text, asset_events=events, cursor=cursor)

    return stream


def _refused(settings: Settings, topics: Topics, now: datetime) -> dict[str, Counter[str]]:
    lakehouse = attach(settings)
    return {topic: refused(lakehouse, topics, source, now) for topic, source in topics.sources.items()}


def _new(
    settings: Settings, topics: Topics, seen: Seen, told: Mapping[str, str], now: datetime
) -> tuple[list[Event], dict[str, str]]:
    """The events that say something new, and what is told by then."""
    events, digests = [], {}
    for each in stream_events.events(attach(settings), topics, seen, now):
        digests[each.name] = sha256(each.short.encode()).hexdigest()[:12]
        if told.get(each.name) != digests[each.name]:
            events.append(each.event)
    return events, digests
