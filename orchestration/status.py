"""What `evergreen status` tells of a use case: facts read from the home's state, each with its sentence.

Nothing is written and no engine is started. What cannot be read is told in its place; the other facts stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.alerts import freshness, outbox
from jobs.error_messages import message_of
from jobs.ingest import registered_inputs
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.ledger import feature_searches, promotions, statements
from jobs.retraining import decisions
from jobs.retraining.policy import ALARM
from jobs.settings import Settings
from jobs.streams import control, health
from jobs.use_case import UseCase
from orchestration.printing import moment

if TYPE_CHECKING:
    from orchestration.nights import LastRun, NextRun

ALERTS_SHOWN = 3


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a use case."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""


Read = Callable[[Settings, UseCase, datetime], Fact | tuple[Fact, ...]]


def facts(settings: Settings, use_case: UseCase, now: datetime) -> dict[str, Fact]:
    """What is known of a use case at this moment, by name, in the order in which it is told."""
    told: dict[str, Fact] = {}
    readers = dict(FACTS)
    if control.heartbeat(settings, use_case) is not None:
        readers["stream",] = _stream
    for names, read in readers.items():
        told |= zip(names, _told(read, settings, use_case, now, len(names)), strict=True)
    return told


def _told(read: Read, settings: Settings, use_case: UseCase, now: datetime, count: int) -> tuple[Fact, ...]:
    try:
        found = read(settings, use_case, now)
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        return (Fact(f"cannot be read: {message}", {"error": message}),) * count
    return found if isinstance(found, tuple) else (found,)


def _data(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    inputs, lakehouse = registered_inputs.registered(settings, use_case), attach(settings)
    events, scored_days = freshness.event_days(lakehouse, use_case), freshness.scored_days(lakehouse, use_case)
    registered = None if inputs is None else inputs.last_day
    if not events:
        text = "nothing is loaded yet; `evergreen run` loads the built-in input, or your files"
        if registered:
            text = f"nothing is loaded yet; files until {registered} are registered, and `evergreen run` loads them"
        return Fact(text, {"until": None, "days": 0, "scored_until": None, "registered_until": registered})
    until, scored = max(events), max(scored_days, default=None)
    text = f"until {until}, {len(events):,} days" + (f"; predictions until {scored}" if scored else "")
    if registered and registered > until:
        text += f"; files until {registered} are registered"
    values = {"until": until, "days": len(events), "scored_until": scored, "registered_until": registered}
    return Fact(text, values)


def _champion(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    ledger = promotions.view(settings, use_case) if _has_ledger(settings) else promotions.LedgerView([], [])
    champion, previous = ledger.champion, ledger.previous
    text = "none yet; `evergreen run` trains models and judges them"
    if champion is not None:
        text = f"version {champion.version} since {moment(champion.since)}"
        text += ", provisional: the evidence was too thin to judge it" if ledger.provisional else ""
        text += f"; before it version {previous.version}" if previous else ""
        came = next((each for each in ledger.decisions if each.id == champion.decision), None)
        if came and came.kind == "rollback":
            text += f"; brought back by {came.by} instead of version {came.champion_version}: {came.reason}"
    elif ledger.decisions:
        text = f"none yet; the last candidate was refused: {ledger.decisions[-1].reason}"
    if ledger.waiting:
        version = ledger.waiting[-1]
        text += f"; version {version} waits for `evergreen approve {version} --by NAME --because REASON`"
    values = {
        "version": champion.version if champion else None,
        "since": champion.since if champion else None,
        "provisional": ledger.provisional,
        "previous_version": previous.version if previous else None,
        "waiting_versions": ledger.waiting,
    }
    return Fact(text, values)


def _nights(settings: Settings, use_case: UseCase, now: datetime) -> tuple[Fact, Fact]:
    from orchestration import nights

    last, following = nights.read(settings, use_case, now)
    return _last_night(last), _next_night(following, use_case)


def _last_night(last: LastRun | None) -> Fact:
    if last is None:
        return Fact("no run yet; `evergreen run` does everything that a night does", {"status": None})
    until = f" to {moment(last.ended_at)}" if last.ended_at else ""
    began = f", {moment(last.started_at)}{until}" if last.started_at else ""
    known = f", as of {moment(last.as_of)}" if last.as_of else ""
    return Fact(f"{last.status}{began}{known} (run {last.run_id[:8]})", vars(last))


def _next_night(following: NextRun, use_case: UseCase) -> Fact:
    values = vars(following)
    if not following.scheduled:
        text = f"none: the schedule {use_case.name}_nightly is off; switch it on in the UI, under Automation"
        return Fact(text, {**values, "at": None})
    if not following.daemon:
        return Fact("none: no daemon runs that would start it; `evergreen up` runs one", {**values, "at": None})
    return Fact(moment(following.at), values)


def _alerts(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    raised = outbox.recorded(settings, use_case.name) if _has_ledger(settings) else []
    if not raised:
        return Fact("none is open", {"open": 0, "latest": []})
    latest = [each.alert for each in raised[: -ALERTS_SHOWN - 1 : -1]]
    lines = [f"{alert.severity}: {alert.kind}, {alert.subject}" for alert in latest]
    text = "\n".join([f"{len(raised)} open; `evergreen alerts` prints them", *lines])
    shown = [{"severity": a.severity, "kind": a.kind, "subject": a.subject, "message": a.message} for a in latest]
    return Fact(text, {"open": len(raised), "latest": shown})


def _training(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    rows = decisions.rows(settings, use_case) if _has_ledger(settings) else []
    if not rows:
        text = "nothing is decided yet; the first run decides about the first training"
        return Fact(text, {"due": None, "reason": None, "as_of": None, "result": None})
    last, waiting = rows[-1], decisions.waiting(rows, now)
    row = waiting or last
    described = decisions.described(row, now)
    answer = "due" if row.open else "not due"
    text = f"{answer} as of {described['as of']}: {row.decision.reason}"
    if row.decision.retrain:
        text = f"{'due' if row.open else 'done'} as of {described['as of']} ({row.decision.reason})"
        text += f": {described['result']}"
    values = {"due": row.open, "reason": row.decision.reason, "as_of": row.decision.as_of}
    return Fact(text, {**values, "result": described["result"] or None})


def _feature_search(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    recorded = feature_searches.rows(settings, use_case.name) if _has_ledger(settings) else []
    standing = feature_searches.open_one(recorded)
    if standing is not None:
        values = {"due": True, **vars(standing.due), "outcome": None, "result": None}
        return Fact(f"{standing.due.message}; run `evergreen features search --use-case {use_case.name}`", values)
    last = recorded[-1] if recorded else None
    text = f"not due; the last one, for the change of {last.due.changed_on}: {last.result}" if last else "not due"
    return Fact(
        text, {"due": False, "outcome": last.outcome if last else None, "result": last.result if last else None}
    )


def _drift(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    latest = decisions.latest(settings, use_case) if _has_ledger(settings) else None
    if latest is None or not latest[1].scores:
        return Fact("nothing is measured yet; a run measures it once there is a champion", {"alarms": [], "scores": {}})
    evidence = latest[1]
    scores = ", ".join(f"{name} {score:.2f}" for name, score in evidence.scores.items())
    named = sorted({name for alarm in evidence.alarms for name in evidence.named.get(alarm, ())})
    alarm = f"alarm ({', '.join(evidence.alarms)}), change of {evidence.changed_on}" if evidence.alarms else "no alarm"
    text = f"{alarm} as of {moment(evidence.as_of)}: {scores} (alarm from {ALARM:g})"
    text += f"; {', '.join(named[:5])}" if named and evidence.alarms else ""
    values = {"alarms": evidence.alarms, "scores": evidence.scores, "named": named, "as_of": evidence.as_of}
    return Fact(text, values)


def _engine(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    address = engine.running(settings)
    kind = "Spark (SPARK_REMOTE)" if settings.spark_remote else "embedded"
    asleep = f"nothing answers at {settings.spark_remote}" if settings.spark_remote else "starts when it is needed"
    text = f"{kind}, runs at {address}" if address else f"{kind}, {asleep}"
    return Fact(text, {"kind": "spark" if settings.spark_remote else "embedded", "address": address})


def _stream(settings: Settings, use_case: UseCase, now: datetime) -> Fact:
    said = control.heartbeat(settings, use_case)
    if said is None:
        return Fact("it has not run yet")
    state, heard = health.state(said, now.timestamp()), datetime.fromtimestamp(said.at, UTC)
    taken, lag = said.counts.get("messages", 0), sum(said.lag.values())
    text = f"{state}, heard at {moment(heard)}; {taken:,} messages since it started, {lag:,} wait"
    text += f"; {said.why}" if said.why else ""
    return Fact(text, {"state": state, "heard_at": heard, "lag": said.lag, "why": said.why or None})


def _has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger to read: SQLite's would be made by the first look at it."""
    is_there = bool(settings.ledger_url) or (settings.home / "ledger.sqlite").exists()
    return is_there and statements.has_decisions(settings)


FACTS: Mapping[tuple[str, ...], Read] = {
    ("data",): _data,
    ("champion",): _champion,
    ("last night", "next night"): _nights,
    ("alerts",): _alerts,
    ("training",): _training,
    ("feature search",): _feature_search,
    ("drift",): _drift,
    ("engine",): _engine,
}
"""Names of facts, and what reads them; a stream that ran has one more."""
