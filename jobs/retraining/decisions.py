"""The ledger of retraining: what was known at a moment, what was decided about it, yes or no, and what came of it.

Evidence is kept under the hash of what it was measured on, and decided about once, whoever asks: the lineage, a sensor
or two of them at the same time. The decision itself is `jobs.retraining.policy`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.registry import provenance
from jobs.retraining.policy import Evidence, RetrainingDecision, Rules, retrain_policy
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    import sqlalchemy as sa

UNDER_WAY = timedelta(hours=6)
"""A training that was decided on longer ago and left no result has failed: the policy no longer counts on it."""


@dataclass(frozen=True)
class Row:
    """A decision about evidence, and the training that it set off."""

    id: int
    digest: str
    decided_at: datetime
    by: str
    decision: RetrainingDecision
    finished_at: datetime | None = None
    """When the training ended that this decision asked for; None: it asked for none, or it has not ended."""
    model_version: int | None = None
    """What it made; None if it made nothing."""
    said: str = ""
    """What came of it, in words."""

    def waits(self, now: datetime) -> bool:
        """Whether its training may still come; one that left no result for long has failed."""
        return self.open and now - self.decided_at <= UNDER_WAY

    @property
    def open(self) -> bool:
        """Whether a training is still to be done."""
        return self.decision.retrain and self.finished_at is None


def keep(settings: Settings, use_case: UseCase, evidence: Evidence, now: datetime) -> str:
    """Record what is known at a moment; gives its digest. The same evidence is kept once."""
    from jobs.ledger import database

    digest = digest_of(use_case, evidence)
    content = {**asdict(evidence), "positives": {str(day): n for day, n in evidence.positives.items()}}
    values = {
        "digest": digest,
        "use_case": use_case.name,
        "as_of": evidence.as_of,
        "kept_at": now,
        "content": provenance.plain(content),
    }
    database.record_once(settings, database.evidence.c.digest, values)
    return digest


def digest_of(use_case: UseCase, evidence: Evidence) -> str:
    """Identifies evidence by its moment and the versions that it was measured on."""
    return provenance.digest(use_case.name, evidence.as_of.isoformat(), dict(evidence.versions))


def latest(settings: Settings, use_case: UseCase) -> tuple[str, Evidence] | None:
    """Digest and content of the evidence kept last."""
    from jobs.ledger import database

    table = database.evidence
    query = table.select().where(table.c.use_case == use_case.name).order_by(table.c.kept_at.desc(), table.c.digest)
    with database.transaction(settings) as connection:
        found = connection.execute(query.limit(1)).first()
    return None if found is None else (found.digest, _evidence(found.content))


def decide(
    settings: Settings, use_case: UseCase, digest: str, by: str, now: datetime, rules: Rules | None = None
) -> Row:
    """Decide about kept evidence, in one transaction; evidence that was decided about keeps its decision.

    Raises:
        ValueError: there is no evidence of this digest.
        LedgerUnreachable: nothing was decided then.
    """
    from jobs.ledger import database

    def insert(connection: sa.Connection) -> Row:
        past = _rows(connection, use_case)
        if earlier := next((row for row in past if row.digest == digest), None):
            return earlier
        found = connection.execute(database.evidence.select().where(database.evidence.c.digest == digest)).first()
        if found is None:
            raise ValueError(f"retraining: expected evidence {digest}, found none in the ledger; keep it first")
        evidence = _evidence(found.content)
        decision = _passed(evidence, past, now)
        decision = decision or retrain_policy(evidence, history(past, evidence.as_of, now), rules or Rules())
        return _inserted(connection, use_case, digest, decision, by, now)

    return database.repeated(settings, insert)


def _passed(evidence: Evidence, past: Sequence[Row], now: datetime) -> RetrainingDecision | None:
    """A moment before one that was decided about is history: whoever builds an old night again wants no training.

    Decisions of moments that lie in the future were made by a clock that was wrong; they stop nobody.
    """
    later = [row.decision.as_of for row in past if evidence.as_of < row.decision.as_of <= now]
    if not later:
        return None
    said = f"decided as of {max(later):%Y-%m-%d %H:%M} already; a training for the past has to be asked for"
    return RetrainingDecision(evidence.as_of, False, "none", said, None, 0, evidence.alarms)


def asked(settings: Settings, use_case: UseCase, as_of: datetime, by: str, now: datetime) -> Row:
    """Record that somebody asks for a training, whatever the policy says."""
    from jobs.ledger import database

    evidence = Evidence(as_of, {}, as_of.date(), {}, {}, {"asked_at": now.isoformat()})
    digest = keep(settings, use_case, evidence, now)

    def insert(connection: sa.Connection) -> Row:
        past = history(_rows(connection, use_case), as_of, now)
        last = past[-1] if past else RetrainingDecision(as_of, False, "none", "", None, 0)
        decision = RetrainingDecision(as_of, True, "asked", "asked for on demand", last.episode, last.positives)
        return _inserted(connection, use_case, digest, decision, by, now)

    return database.repeated(settings, insert)


def finished(settings: Settings, row: Row, now: datetime, version: int | None, said: str) -> None:
    """Record what came of a training, once."""
    from jobs.ledger import database

    values = {"retraining": row.id, "finished_at": now, "model_version": version, "said": said}
    database.record_once(settings, database.trainings.c.retraining, values)


def rows(settings: Settings, use_case: UseCase) -> list[Row]:
    """All decisions, oldest first."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return _rows(connection, use_case)


def described(row: Row, now: datetime) -> dict[str, str]:
    """A row for people."""
    unfinished = "under way" if row.waits(now) else "left no result"
    made = f"version {row.model_version}: " if row.model_version else ""
    return {
        "as of": f"{row.decision.as_of:%Y-%m-%d %H:%M}",
        "decided at": f"{row.decided_at:%Y-%m-%d %H:%M}",
        "by": row.by,
        "retrain": "yes" if row.decision.retrain else "no",
        "trigger": row.decision.trigger,
        "reason": row.decision.reason,
        "alarms": ", ".join(row.decision.alarms),
        "result": unfinished if row.open else f"{made}{row.said}",
    }


def due(settings: Settings, use_case: UseCase, as_of: datetime, now: datetime) -> Row | None:
    """The training that is to be done at `as_of`: of the last decision until then that asked for one and is waiting.

    What was decided after it said no because of it: a training that was killed is still to be done. One that failed
    long ago is taken up only if nothing was decided since.
    """
    known = [row for row in rows(settings, use_case) if row.decision.as_of <= as_of]
    return waiting(known, now) or (known[-1] if known and known[-1].open else None)


def waiting(decided: Sequence[Row], now: datetime) -> Row | None:
    """The last of these decisions, oldest first, whose training is still to be done."""
    return next((row for row in reversed(decided) if row.waits(now)), None)


def history(past: Sequence[Row], as_of: datetime, now: datetime) -> list[RetrainingDecision]:
    """What the policy takes into account at `as_of`: a training that failed was none, whatever was decided, and neither
    was a first one that had too little to learn from.

    Other evidence of the same moment (more reports of a world that stands still) was decided about just before.
    """

    def counted(row: Row) -> RetrainingDecision:
        failed = row.open and not row.waits(now)
        nothing = row.finished_at is not None and row.model_version is None and row.decision.trigger == "first"
        decision = row.decision
        if decision.as_of == as_of:
            decision = replace(decision, as_of=as_of - timedelta(microseconds=1))
        return replace(decision, retrain=False) if failed or nothing else decision

    return sorted((counted(row) for row in past), key=lambda decision: decision.as_of)


def _inserted(
    connection: sa.Connection, use_case: UseCase, digest: str, decision: RetrainingDecision, by: str, now: datetime
) -> Row:
    from jobs.ledger import database

    episode = decision.episode.isoformat() if decision.episode else None
    values = {**asdict(decision), "episode": episode, "alarms": list(decision.alarms)}
    values |= {"use_case": use_case.name, "digest": digest, "decided_at": now, "by": by}
    made = connection.execute(database.retrainings.insert().returning(database.retrainings.c.id).values(values))
    return Row(made.scalar_one(), digest, now, by, decision)


def _rows(connection: sa.Connection, use_case: UseCase) -> list[Row]:
    from jobs.ledger import database

    table, done = database.retrainings, database.trainings
    joined = table.join(done, done.c.retraining == table.c.id, isouter=True)
    query = joined.select().where(table.c.use_case == use_case.name).order_by(table.c.id)
    query = query.with_only_columns(table, done.c.finished_at, done.c.model_version, done.c.said)
    return [_row(found._mapping) for found in connection.execute(query)]


def _row(found: Any) -> Row:
    episode = date.fromisoformat(found["episode"]) if found["episode"] else None
    decision = RetrainingDecision(
        found["as_of"], found["retrain"], found["trigger"], found["reason"], episode, found["positives"],
        tuple(found["alarms"]), found["expected_gain"],
    )  # fmt: skip
    return Row(
        found["id"], found["digest"], found["decided_at"], found["by"], decision, found["finished_at"],
        found["model_version"], found["said"] or "",
    )  # fmt: skip


def _evidence(content: Any) -> Evidence:
    return Evidence(
        datetime.fromisoformat(content["as_of"]),
        content["scores"],
        date.fromisoformat(content["changed_on"]),
        {date.fromisoformat(day): count for day, count in content["positives"].items()},
        content["named"],
        content["versions"],
        content["in_production"],
    )
