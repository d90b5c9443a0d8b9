"""What a look at a stream tells Dagster of its topics and tables, without a run: observations, results of checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import dagster as dg

from assets.checks import results
from assets.keys import Keys
from assets.metadata import counts, legible, mapping_table
from jobs.checks import streams as stream_checks
from jobs.checks.check import Outcome
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.topics import Topics
from jobs.secret import hide
from jobs.streams.health import Seen
from jobs.streams.stored_features import stored_stamp
from jobs.streams.topic_changes import told

PASSING = ("last_stamp", "seconds_since")
"""What every message of any topic changes, and each look."""
Event = dg.AssetObservation | dg.AssetCheckEvaluation


class Told(NamedTuple):
    """Something to tell, and what it says in short: it is told again only when that is another."""

    name: str
    short: str
    event: Event


def events(lakehouse: Lakehouse, topics: Topics, seen: Seen, now: datetime) -> Iterator[Told]:
    """Everything that there is to tell at a moment."""
    use_case, keys = topics.use_case, Keys(topics.use_case)
    for topic, source in topics.sources.items():
        key = keys.topics[source.name]
        yield _observed(key, _of_topic(seen, topic, now))
        yield from _checked(key, stream_checks.of_topic(seen.said, topic, seen.refused[topic], now))
    for windows in use_case.windows:
        table, key = use_case.stream_table(windows), keys.stream_tables[windows.name]
        if lakehouse.exists(table):
            yield _observed(key, _of_table(lakehouse, table, now))
            yield from _checked(key, [stream_checks.computed(seen.said)])


def _of_topic(seen: Seen, topic: str, now: datetime) -> dict[str, Any]:
    said = seen.said
    positions = said.positions.get(topic, {})
    return {
        "state": seen.looks[-1].state,
        **({"reason": hide(said.why)} if said.why else {}),
        "read_up_to": sum(positions.values()),
        "lag": said.lag.get(topic, 0),
        "dead_letters_of_a_day": seen.refused[topic].total(),
        **({"positions": mapping_table(positions, ("partition", "next message"))} if positions else {}),
        **({"changes": "\n".join(map(told, said.changes[topic]))} if said.changes.get(topic) else {}),
        **({"left_out": ", ".join(said.left_out[topic])} if said.left_out.get(topic) else {}),
        **_stamped(said.stamp, now),
    }


def _of_table(lakehouse: Lakehouse, table: str, now: datetime) -> dict[str, Any]:
    return {**counts(lakehouse, table), **_stamped(stored_stamp(lakehouse, table), now)}


def _stamped(stamp: int, now: datetime) -> dict[str, Any]:
    """When the last message became known, and how long ago that is."""
    if not stamp:
        return {}
    seconds = max(0.0, now.timestamp() - stamp / 1e6)
    return {"last_stamp": dg.MetadataValue.timestamp(stamp / 1e6), "seconds_since": seconds}


def _observed(key: dg.AssetKey, metadata: dict[str, Any]) -> Told:
    short = str({name: str(value) for name, value in metadata.items() if name not in PASSING})
    return Told(key.to_user_string(), short, dg.AssetObservation(key, metadata=legible(metadata)))


def _checked(key: dg.AssetKey, outcomes: list[Outcome]) -> Iterator[Told]:
    for outcome, result in zip(outcomes, results(outcomes), strict=True):
        name = outcome.check.name
        event = dg.AssetCheckEvaluation(
            key, name, result.passed, result.metadata, None, result.severity, result.description
        )
        yield Told(f"{key.to_user_string()}: {name}", str(result.passed), event)
