"""Alerts and their deliveries in the ledger's database; every function is a part of one transaction.

What is worth telling, and to whom, is said in `jobs.alerts.outbox`. Importing this module imports SQLAlchemy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from jobs.alerts.channels import SEVERITIES, Notice
from jobs.ledger.database import alert_deliveries, alerts

REMIND_AFTER = timedelta(days=7)
LEASE = timedelta(minutes=10)
"""Whoever took a delivery and did not end it within this time was killed; longer than any delivery takes."""
AT_ONCE = 50
"""Deliveries of one call; the rest waits for the next."""


class Delivery(NamedTuple):
    """One telling of an alert over one channel."""

    alert: int
    telling: int
    channel: str


def record(connection: sa.Connection, values: Mapping[str, Any], channels: Sequence[str], now: datetime) -> bool:
    """Record an alert and its deliveries if it is new, worse than before, or told long ago; whether it was."""
    before = connection.execute(alerts.select().where(_open(values))).first()
    if before is None:
        new = alerts.insert().values(**values, raised_at=now, told_at=now, tellings=1).returning(alerts.c.id)
        alert, telling = connection.execute(new).scalar_one(), 1
    elif now - before.told_at >= REMIND_AFTER or SEVERITIES[values["severity"]] > SEVERITIES[before.severity]:
        alert, telling = before.id, before.tellings + 1
        connection.execute(alerts.update().where(alerts.c.id == alert).values(**values, told_at=now, tellings=telling))
        # What did not get through would say the same.
        connection.execute(alert_deliveries.delete().where((alert_deliveries.c.alert == alert) & _undelivered()))
    else:
        return False
    rows = [{**Delivery(alert, telling, channel)._asdict(), "attempts": 0} for channel in channels]
    connection.execute(alert_deliveries.insert(), rows)
    return True


def close(connection: sa.Connection, key: Mapping[str, Any], now: datetime) -> bool:
    """Resolve an alert; whether it was open."""
    return bool(connection.execute(alerts.update().where(_open(key)).values(resolved_at=now)).rowcount)


def waiting(connection: sa.Connection, channels: Sequence[str], now: datetime) -> list[Delivery]:
    """Deliveries that somebody should make; those that failed less often first, so that none blocks the others."""
    table = alert_deliveries
    query = table.select().where(_free(now) & table.c.channel.in_(channels))
    rows = connection.execute(query.order_by(table.c.attempts, table.c.alert, table.c.channel).limit(AT_ONCE))
    return [Delivery(row.alert, row.telling, row.channel) for row in rows]


def claim(connection: sa.Connection, delivery: Delivery, now: datetime) -> Notice | None:
    """Take a delivery; None if another process has it, or has made it."""
    table = alert_deliveries
    taking = table.update().where(_is(delivery) & _free(now)).values(claimed_at=now, attempts=table.c.attempts + 1)
    if not connection.execute(taking).rowcount:
        return None
    row = connection.execute(alerts.select().where(alerts.c.id == delivery.alert)).one()
    names = ("use_case", "kind", "subject", "said", "severity", "as_of", "raised_at", "resolved_at", "evidence")
    # An id would come back after a home was deleted.
    identity = "\n".join((row.use_case, row.kind, row.subject, row.raised_at.isoformat(), str(delivery.telling)))
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return Notice(key=key, reminder=delivery.telling - 1, **{name: getattr(row, name) for name in names})


def end(connection: sa.Connection, delivery: Delivery, failure: str | None, now: datetime) -> None:
    """What became of a delivery; after a failure anybody may try again."""
    values = {"claimed_at": None, "delivered_at": None if failure else now, "failure": failure}
    connection.execute(alert_deliveries.update().where(_is(delivery)).values(values))


def read(
    connection: sa.Connection, use_case: str | None, resolved: bool
) -> tuple[Sequence[sa.Row[Any]], dict[int, dict[str, str | None]]]:
    """Rows of `alerts`, oldest first, and by their ids the channels that have not delivered, with the last failure."""
    query = alerts.select().order_by(alerts.c.id)
    query = query if use_case is None else query.where(alerts.c.use_case == use_case)
    rows = connection.execute(query if resolved else query.where(alerts.c.resolved_at.is_(None))).all()
    undelivered: dict[int, dict[str, str | None]] = {}
    for row in connection.execute(alert_deliveries.select().where(_undelivered())):
        undelivered.setdefault(row.alert, {})[row.channel] = row.failure
    return rows, undelivered


def _open(key: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    same = (alerts.c[name] == key[name] for name in ("use_case", "kind", "subject"))
    return sa.and_(alerts.c.resolved_at.is_(None), *same)


def _is(delivery: Delivery) -> sa.ColumnElement[bool]:
    return sa.and_(*(alert_deliveries.c[name] == value for name, value in delivery._asdict().items()))


def _undelivered() -> sa.ColumnElement[bool]:
    return alert_deliveries.c.delivered_at.is_(None)


def _free(now: datetime) -> sa.ColumnElement[bool]:
    """Delivered by nobody, and nobody is at it. A claim from the future is one of a clock that went backwards."""
    claimed = alert_deliveries.c.claimed_at
    return _undelivered() & (claimed.is_(None) | (claimed <= now - LEASE) | (claimed >= now + LEASE))
