"""The tables of the ledger's database; transactions: see `jobs.ledger.database`.

What rows mean is said where they are written, such as in `jobs.ledger.promotions`.
Importing this module imports SQLAlchemy: code that must start fast imports it late.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware datetime, as ISO text in UTC: sorts as time does, and reads alike in both databases."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


METADATA = sa.MetaData()
pins = sa.Table(
    "pins",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("pinned_by", sa.Text, primary_key=True),
)
evaluations = sa.Table(
    "evaluations",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("champion_version", sa.Integer),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("needs_person", sa.Boolean, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
)
challenges = sa.Table(
    "challenges",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("champion_version", sa.Integer, nullable=False),
    sa.Column("champion_sha256", sa.String(64), nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
)
looks = sa.Table(
    "looks",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("tenure", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("level", sa.Float, nullable=False),
    sa.Column("spent", sa.Float, nullable=False),
    sa.Column("alpha", sa.Float, nullable=False),
    sa.UniqueConstraint("use_case", "tenure", "number", name="one_look_of_a_number"),
)
training_costs = sa.Table(
    "training_costs",
    METADATA,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("gpu_seconds", sa.Float, nullable=False),
    sa.Column("peak_bytes", sa.Float, nullable=False),
    sa.Column("money", sa.Float, nullable=False),
)
decisions = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("authenticated", sa.Boolean, nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("champion_version", sa.Integer),
    sa.Column("digest", sa.String(64)),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
)
champions = sa.Table(
    "champions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("until", Moment),
    sa.Column("decision", sa.ForeignKey("decisions.id"), nullable=False),
    sa.Column("closed_by", sa.ForeignKey("decisions.id")),
)
evidence = sa.Table(
    "evidence",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("kept_at", Moment, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)
retrainings = sa.Table(
    "retrainings",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("digest", sa.ForeignKey("evidence.digest"), nullable=False, unique=True),
    sa.Column("decided_at", Moment, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("retrain", sa.Boolean, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("episode", sa.Text),
    sa.Column("positives", sa.Integer, nullable=False),
    sa.Column("alarms", sa.JSON, nullable=False),
    sa.Column("expected_gain", sa.Float, nullable=False),
)
trainings = sa.Table(
    "trainings",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("retraining", sa.ForeignKey("retrainings.id"), nullable=False, unique=True),
    sa.Column("finished_at", Moment, nullable=False),
    sa.Column("model_version", sa.Integer),
    sa.Column("said", sa.Text, nullable=False),
)
feature_searches = sa.Table(
    "feature_searches",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("changed_on", sa.String(10), nullable=False),
    sa.Column("objective", sa.Text, nullable=False),
    sa.Column("before", sa.Float, nullable=False),
    sa.Column("after", sa.Float, nullable=False),
    sa.Column("since", sa.String(10), nullable=False),
    sa.Column("until", sa.String(10), nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("outcome", sa.Text),
    sa.Column("result", sa.Text),
)
# Columns keep the names that they have in databases made before; the code knows them by `key`.
alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("said", sa.Text, key="message", nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("raised_at", Moment, nullable=False),
    sa.Column("told_at", Moment, key="notified_at", nullable=False),
    sa.Column("tellings", sa.Integer, key="notifications", nullable=False),
    sa.Column("resolved_at", Moment),
)
alert_deliveries = sa.Table(
    "alert_deliveries",
    METADATA,
    sa.Column("alert", sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("telling", sa.Integer, key="notification", primary_key=True, autoincrement=False),
    sa.Column("channel", sa.String(16), primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("claimed_at", Moment),
    sa.Column("delivered_at", Moment),
    sa.Column("failure", sa.Text),
)
admin_actions = sa.Table(
    "admin_actions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("acted_at", Moment, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
)
rollouts = sa.Table(
    "rollouts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("strategy", sa.JSON, nullable=False),
    sa.Column("arms", sa.JSON, nullable=False),
    sa.Column("champion_version", sa.Integer, nullable=False),
    sa.Column("champion_sha256", sa.String(64), nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("log_stamp", sa.BigInteger, nullable=False),
    sa.Column("ended_at", Moment),
)
rollout_changes = sa.Table(
    "rollout_changes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rollout", sa.ForeignKey("rollouts.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("shares", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("authenticated", sa.Boolean, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.UniqueConstraint("rollout", "number", name="one_rollout_change_of_a_number"),
)
# What must never be, the database itself refuses: two champions at once, two promotions on the same evidence, one
# condition as two open alerts, two searches for features that are due, two rollouts of one name.
sa.Index(
    "one_champion",
    champions.c.use_case,
    unique=True,
    sqlite_where=champions.c.until.is_(None),
    postgresql_where=champions.c.until.is_(None),
)
sa.Index(
    "one_promotion",
    decisions.c.use_case,
    decisions.c.digest,
    unique=True,
    sqlite_where=decisions.c.kind == "promotion",
    postgresql_where=decisions.c.kind == "promotion",
)
sa.Index(
    "one_open_alert",
    alerts.c.use_case,
    alerts.c.kind,
    alerts.c.subject,
    unique=True,
    sqlite_where=alerts.c.resolved_at.is_(None),
    postgresql_where=alerts.c.resolved_at.is_(None),
)
sa.Index(
    "one_due_search",
    feature_searches.c.use_case,
    unique=True,
    sqlite_where=feature_searches.c.ended_at.is_(None),
    postgresql_where=feature_searches.c.ended_at.is_(None),
)
sa.Index(
    "one_rollout_of_a_name",
    rollouts.c.use_case,
    rollouts.c.name,
    unique=True,
    sqlite_where=rollouts.c.ended_at.is_(None),
    postgresql_where=rollouts.c.ended_at.is_(None),
)
