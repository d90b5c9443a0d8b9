"""The ledger of retraining: evidence, the decision about it (train or not), and the result of the training.

Evidence is recorded under the hash of what it was measured on. Each evidence gets one decision, also if the lineage and
several sensors ask at the same time. How to decide is in `jobs.retraining.policy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.errors import Invalid
from jobs.ledger import feature_searches
from jobs.ledger.feature_searches import DueSearch
from jobs.registry import provenance
from jobs.retraining.policy import Evidence, RetrainingDecision, Rules, retrain_policy
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    import sqlalchemy as sa

UNDER_WAY = timedelta(hours=6)
"""A training without a result has failed once its decision is older than this; the policy then ignores it."""


@dataclass(frozen=True)
class RecordedDecision:
    """A decision about evidence, and the training that it started."""

    id: int
    digest: str
    decided_at: datetime
    by: str
    decision: RetrainingDecision
    finished_at: datetime | None = None
    """When the training of this decision ended; None: it has no training, or the training has not ended."""
    model_version: int | None = None
    """The model version that the training registered; None: it registered none."""
    result: str = ""
    """The result of the training in plain words; empty: it has none yet."""

    def waits(self, now: datetime) -> bool:
        """Whether its training may still end; one without a result for `UNDER_WAY` has failed."""
        return self.open and now - self.decided_at <= UNDER_WAY

    @property
    def open(self) -> bool:
        """Whether the decision asked for a training that has not ended."""
        return self.decision.retrain and self.finished_at is None


def record_evidence(settings: Settings, use_case: UseCase, evidence: Evidence, now: datetime) -> str:
    """Record the evidence of a moment once; returns its digest."""
    from jobs.ledger import database, schema

    digest = digest_of(use_case, evidence)
    content = {**asdict(evidence), "positives": {str(day): n for day, n in evidence.positives.items()}}
    values = {
        "digest": digest,
        "use_case": use_case.name,
        "as_of": evidence.as_of,
        "kept_at": now,
        "content": provenance.plain(content),
    }
    database.record_once(settings, schema.evidence.c.digest, values)
    return digest


def digest_of(use_case: UseCase, evidence: Evidence) -> str:
    """Identifies evidence by its moment and the versions that it was measured on."""
    return provenance.digest(use_case.name, evidence.as_of.isoformat(), dict(evidence.versions))


def latest(settings: Settings, use_case: UseCase) -> tuple[str, Evidence] | None:
    """Digest and content of the evidence that was recorded last; None: there is none."""
    from jobs.ledger import database, schema

    table = schema.evidence
    query = table.select().where(table.c.use_case == use_case.name).order_by(table.c.kept_at.desc(), table.c.digest)
    with database.transaction(settings) as connection:
        row = connection.execute(query.limit(1)).first()
    return None if row is None else (row.digest, _evidence(row.content))


def decide(
    settings: Settings, use_case: UseCase, digest: str, by: str, now: datetime, rules: Rules | None = None
) -> RecordedDecision:
    """Decide about recorded evidence in one transaction; a second call returns the first decision.

    Raises:
        ValueError: there is no evidence of this digest.
        LedgerUnreachable: the database does not answer; nothing was decided.
    """
    from jobs.ledger import database, schema

    def insert(connection: sa.Connection) -> RecordedDecision:
        past = _rows(connection, use_case)
        if earlier := next((row for row in past if row.digest == digest), None):
            return earlier
        stored = connection.execute(schema.evidence.select().where(schema.evidence.c.digest == digest)).first()
        if stored is None:
            raise Invalid(f"retraining: expected evidence {digest}, found none in the ledger; record it first")
        evidence = _evidence(stored.content)
        decision = _passed(evidence, past, now)
        decision = decision or retrain_policy(evidence, history(past, evidence.as_of, now), rules or Rules())
        standing = feature_searches.open_one(feature_searches.read(connection, use_case.name))
        decision = noted(decision, standing.due if standing else None)
        return _inserted(connection, use_case, digest, decision, by, now)

    return database.repeated(settings, insert)


def noted(decision: RetrainingDecision, due: DueSearch | None) -> RetrainingDecision:
    """The decision, whose reason also says that a search for features is due, if one is."""
    return decision if due is None else replace(decision, reason=f"{decision.reason}; {due.message}")


def _passed(evidence: Evidence, past: Sequence[RecordedDecision], now: datetime) -> RetrainingDecision | None:
    """A refusal for a moment before one that was decided about: rebuilding an old night must not start a training.

    Decisions of moments in the future come from a wrong clock and are ignored.
    """
    later = [row.decision.as_of for row in past if evidence.as_of < row.decision.as_of <= now]
    if not later:
        return None
    reason = f"decided as of {max(later):%Y-%m-%d %H:%M} already; a training for the past has to be asked for"
    return RetrainingDecision(evidence.as_of, False, "none", reason, None, 0, evidence.alarms)


def record_request(settings: Settings, use_case: UseCase, as_of: datetime, by: str, now: datetime) -> RecordedDecision:
    """Record that `by` asks for a training; the policy is not asked."""
    from jobs.ledger import database

    evidence = Evidence(as_of, {}, as_of.date(), {}, {}, {"asked_at": now.isoformat()})
    digest = record_evidence(settings, use_case, evidence, now)

    def insert(connection: sa.Connection) -> RecordedDecision:
        past = history(_rows(connection, use_case), as_of, now)
        last = past[-1] if past else RetrainingDecision(as_of, False, "none", "", None, 0)
        decision = RetrainingDecision(as_of, True, "asked", "asked for on demand", last.episode, last.positives)
        return _inserted(connection, use_case, digest, decision, by, now)

    return database.repeated(settings, insert)


def record_result(settings: Settings, row: RecordedDecision, now: datetime, version: int | None, result: str) -> None:
    """Record the result of a training; later results of the same decision are ignored."""
    from jobs.ledger import database, schema

    values = {"retraining": row.id, "finished_at": now, "model_version": version, "said": result}
    database.record_once(settings, schema.trainings.c.retraining, values)


def rows(settings: Settings, use_case: UseCase) -> list[RecordedDecision]:
    """All decisions, oldest first."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return _rows(connection, use_case)


def described(row: RecordedDecision, now: datetime) -> dict[str, str]:
    """A decision as text: column -> value, the same columns for every row."""
    unfinished = "under way" if row.waits(now) else "left no result"
    version = f"version {row.model_version}: " if row.model_version else ""
    return {
        "as of": f"{row.decision.as_of:%Y-%m-%d %H:%M}",
        "decided at": f"{row.decided_at:%Y-%m-%d %H:%M}",
        "by": row.by,
        "retrain": "yes" if row.decision.retrain else "no",
        "trigger": row.decision.trigger,
        "reason": row.decision.reason,
        "alarms": ", ".join(row.decision.alarms),
        "result": unfinished if row.open else f"{version}{row.result}",
    }


def due(settings: Settings, use_case: UseCase, as_of: datetime, now: datetime) -> RecordedDecision | None:
    """The decision whose training has to run at `as_of`: the last one until then that waits for its training.

    Later decisions were "no" because of that training, so that it is still due after its run was killed. A training
    that failed long ago is due again only if nothing was decided since. None: no training is due.
    """
    past = [row for row in rows(settings, use_case) if row.decision.as_of <= as_of]
    return waiting(past, now) or (past[-1] if past and past[-1].open else None)


def waiting(decided: Sequence[RecordedDecision], now: datetime) -> RecordedDecision | None:
    """The last of these decisions (oldest first) whose training may still end; None: there is none."""
    return next((row for row in reversed(decided) if row.waits(now)), None)


def history(past: Sequence[RecordedDecision], as_of: datetime, now: datetime) -> list[RetrainingDecision]:
    """The decisions as the policy counts them at `as_of`, by moment: a training that failed, or a first one that had
    too few rows to learn from, counts as none.

    Other evidence of the same moment (more reports, with the clock of the world unchanged) counts as decided just
    before.
    """

    def counted(row: RecordedDecision) -> RetrainingDecision:
        failed = row.open and not row.waits(now)
        nothing = row.finished_at is not None and row.model_version is None and row.decision.trigger == "first"
        decision = row.decision
        if decision.as_of == as_of:
            decision = replace(decision, as_of=as_of - timedelta(microseconds=1))
        return replace(decision, retrain=False) if failed or nothing else decision

    return sorted((counted(row) for row in past), key=lambda decision: decision.as_of)


def _inserted(
    connection: sa.Connection, use_case: UseCase, digest: str, decision: RetrainingDecision, by: str, now: datetime
) -> RecordedDecision:
    from jobs.ledger import schema

    episode = decision.episode.isoformat() if decision.episode else None
    values = {**asdict(decision), "episode": episode, "alarms": list(decision.alarms)}
    values |= {"use_case": use_case.name, "digest": digest, "decided_at": now, "by": by}
    inserted = connection.execute(schema.retrainings.insert().returning(schema.retrainings.c.id).values(values))
    return RecordedDecision(inserted.scalar_one(), digest, now, by, decision)


def _rows(connection: sa.Connection, use_case: UseCase) -> list[RecordedDecision]:
    from jobs.ledger import schema

    table, done = schema.retrainings, schema.trainings
    joined = table.join(done, done.c.retraining == table.c.id, isouter=True)
    query = joined.select().where(table.c.use_case == use_case.name).order_by(table.c.id)
    query = query.with_only_columns(table, done.c.finished_at, done.c.model_version, done.c.said)
    return [_row(row._mapping) for row in connection.execute(query)]


def _row(stored: Any) -> RecordedDecision:
    episode = date.fromisoformat(stored["episode"]) if stored["episode"] else None
    decision = RetrainingDecision(
        stored["as_of"], stored["retrain"], stored["trigger"], stored["reason"], episode, stored["positives"],
        tuple(stored["alarms"]), stored["expected_gain"],
    )  # fmt: skip
    return RecordedDecision(
        stored["id"], stored["digest"], stored["decided_at"], stored["by"], decision, stored["finished_at"],
        stored["model_version"], stored["said"] or "",
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
