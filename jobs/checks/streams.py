"""Whether a stream keeps up, what it refuses, and whether its features are what a batch makes of the same facts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from jobs.checks.check import Check, Outcome
from jobs.lakehouse.tables import Lakehouse
from jobs.streams import health, verified_days
from jobs.streams.control import Heartbeat
from jobs.streams.refused import DAY
from jobs.streams.stream import MOST
from jobs.streams.topic_changes import told
from jobs.streams.verify import Verified
from jobs.use_case import UseCase

LAG = Check("stream_lag", f"At most {MOST:,} messages of the topic wait: as many as one step takes.", "warning")
FRESH = Check("stream_fresh", f"The stream said within {health.SILENT_SECONDS:.0f} seconds that it reads the topic.")
NO_DEAD_LETTERS = Check("no_dead_letters", "No message of the last day broke the contract.", severity="warning")
UNCHANGED = Check(
    "topic_unchanged",
    "In the last day the topic was not made again, got no partitions, and lost no message before it was read.",
    severity="warning",
)
COMPUTED = Check("features_computed", "The stream computes features of what comes.", severity="warning")
EQUALS_BATCH = Check(
    "stream_equals_batch",
    "Features of streamed events, computed again by the batch kernel from the marts, are the same to the last bit.",
    blocking=True,
)
OF_TOPIC = (LAG, FRESH, NO_DEAD_LETTERS, UNCHANGED)
NEVER_RAN = "the stream has not run yet (`evergreen stream run`)"
ENDED = "a person ended the stream"


def lag(said: Heartbeat | None, topic: str) -> Outcome:
    """LAG of one topic."""
    if said is None or topic not in said.lag:
        return LAG.not_judged(NEVER_RAN)
    waiting = said.lag[topic]
    return LAG.outcome(waiting <= MOST, f"at most {MOST:,} messages", f"{waiting:,}", lag=waiting)


def fresh(said: Heartbeat | None, now: datetime) -> Outcome:
    """FRESH of a stream."""
    if said is None:
        return FRESH.not_judged(NEVER_RAN)
    found, seconds = health.state(said, now.timestamp()), max(0.0, now.timestamp() - said.at)
    if found == "ended":
        return FRESH.not_judged(ENDED)
    text = f"that it is {found}, {seconds:.0f} seconds ago{f': {said.why}' if said.why else ''}"
    good = found in (health.RUNNING, "paused")
    return FRESH.outcome(good, f"a word within {health.SILENT_SECONDS:.0f} seconds", text, seconds=seconds)


def no_dead_letters(reasons: Counter[str]) -> Outcome:
    """NO_DEAD_LETTERS of what was refused of a topic in the last day."""
    commonest = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))
    found = f"{reasons.total():,} ({commonest})" if reasons else "none"
    return NO_DEAD_LETTERS.outcome(not reasons, "no message in quarantine", found, dead_letters=reasons.total())


def unchanged(said: Heartbeat | None, topic: str, now: datetime) -> Outcome:
    """UNCHANGED of one topic."""
    if said is None:
        return UNCHANGED.not_judged(NEVER_RAN)
    lately = [each for each in said.changes.get(topic, ()) if each["at"] > (now - DAY).timestamp()]
    return UNCHANGED.outcome(not lately, "a topic as it was", "; ".join(map(told, lately)) or "just that")


def computed(said: Heartbeat | None) -> Outcome:
    """COMPUTED of a stream."""
    if said is None or said.condition != health.RUNNING:
        return COMPUTED.not_judged(NEVER_RAN if said is None else f"the stream is {said.condition}")
    return COMPUTED.outcome(not said.why, "features of every event", said.why or "just that")


def of_topic(said: Heartbeat | None, topic: str, reasons: Counter[str], now: datetime) -> list[Outcome]:
    """OF_TOPIC of a topic of which some messages were refused in the last day."""
    return [lag(said, topic), fresh(said, now), no_dead_letters(reasons), unchanged(said, topic, now)]


def judged(lakehouse: Lakehouse, use_case: UseCase) -> Outcome:
    """EQUALS_BATCH of the days that were streamed since the last look."""
    return equals_batch(verified_days.verify_new(lakehouse, use_case))


def equals_batch(found: Verified | None) -> Outcome:
    """EQUALS_BATCH of a comparison."""
    if found is not None and found.of_others:
        return EQUALS_BATCH.not_judged("declarations changed, and the stream has not made its features anew yet")
    if found is None or not (found.cells or found.not_in_marts):
        return EQUALS_BATCH.not_judged("no features were streamed since the last look")
    if not found.cells:
        return EQUALS_BATCH.not_judged(f"{found.not_in_marts:,} streamed events are in no mart yet")
    examples = ", ".join(f"{each.feature} of {each.id!r}" for each in found.examples[:3])
    return EQUALS_BATCH.outcome(
        not found.different,
        f"{found.cells:,} cells of {found.events:,} events as the batch kernel has them",
        f"{found.different:,} others ({examples})" if found.different else "just that",
        events=found.events, cells=found.cells, different=found.different, not_in_marts=found.not_in_marts,
        decided_elsewhere=found.decided_elsewhere,
    )  # fmt: skip
