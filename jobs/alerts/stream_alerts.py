"""Alerts about a stream: that it is down, that it falls behind, that messages break the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from jobs.alerts import outbox
from jobs.alerts.outbox import Alert
from jobs.settings import Settings
from jobs.streams import health
from jobs.streams.health import Seen
from jobs.use_case import UseCase

DOWN, BEHIND, LETTERS = "stream_down", "stream_behind", "dead_letters"
"""Kinds of alerts. Subjects of DOWN are the process and the broker; of BEHIND a topic, all topics or the features; of
LETTERS a topic."""


def settle(settings: Settings, use_case: UseCase, seen: Seen, now: datetime) -> list[Alert]:
    """Send what holds at the last look, and resolve what no longer does; returns what holds."""
    holding = {
        DOWN: list(_down(use_case, seen, now)),
        BEHIND: list(_behind(use_case, seen, now)),
        LETTERS: [_letters(use_case, topic, found, now) for topic, found in seen.refused.items() if found],
    }
    for kind, alerts in holding.items():
        outbox.settle(settings, use_case.name, kind, alerts, now)
    return [alert for alerts in holding.values() for alert in alerts]


def _down(use_case: UseCase, seen: Seen, now: datetime) -> Iterator[Alert]:
    said, state = seen.said, seen.looks[-1].state
    since = f"since {datetime.fromtimestamp(said.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    process = said.process.partition("@")[0]
    found = {
        "dead": f"its process {process} is gone {since}, without a word: see its log, and let its supervisor start it",
        "silent": f"its process {process} lives and says nothing {since}: end it, so that its supervisor starts it",
        "failed": f"it failed {since}: {said.why}",
    }
    evidence = {"process": said.process, "last_heard": said.at, "why": said.why}
    if state in health.DOWN:
        message = f"The stream of {use_case.name} was expected to run, but {found[state]}."
        yield Alert(use_case.name, DOWN, "process", message, "error", now, evidence)
    if health.lasts(seen.looks, health.WAITING):
        message = f"The stream of {use_case.name} was expected to read its topics, but it waits: {said.why}."
        yield Alert(use_case.name, DOWN, "broker", message, "error", now, evidence)


def _behind(use_case: UseCase, seen: Seen, now: datetime) -> Iterator[Alert]:
    said, looks = seen.said, seen.looks

    def alert(subject: str, message: str, **evidence: object) -> Alert:
        return Alert(use_case.name, BEHIND, subject, message, "warning", now, evidence)

    for topic, lag in health.growing(looks).items():
        message = (
            f"The stream of {use_case.name} was expected to keep up with {topic}, but {lag:,} messages wait, more at "
            f"each of {health.KEPT_LOOKS} looks: see whether the machine is busy, or more comes than one process takes."
        )
        yield alert(topic, message, lag=lag)
    if (quiet := health.quiet_for(seen, now.timestamp())) is not None:
        message = (
            f"Messages of {use_case.name} were expected to come, but none did for {quiet // timedelta(hours=1)} hours: "
            "see whether those who send them still do."
        )
        yield alert("messages", message, stamp=said.stamp)
    if health.lasts(looks, health.RUNNING) and all(each.why for each in looks[-2:]):
        message = f"The stream of {use_case.name} was expected to bring features of every event, but: {said.why}."
        yield alert("features", message, why=said.why)


def _letters(use_case: UseCase, topic: str, reasons: Counter[str], now: datetime) -> Alert:
    [(commonest, _)] = reasons.most_common(1)
    message = (
        f"Messages of {topic} were expected to keep the contract, but {reasons.total():,} of the last day did not, "
        f"mostly as {commonest}: the quarantine of its raw table has them, and of a Kafka `evergreen dlq list`."
    )
    return Alert(use_case.name, LETTERS, topic, message, "warning", now, {"reasons": dict(reasons.most_common(5))})
