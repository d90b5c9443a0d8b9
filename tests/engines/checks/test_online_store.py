"""The online store against the feature tables: as it was filled, and after somebody wrote something else into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA, Row, put, update_windows

from jobs.checks import online_store
from jobs.feature_store import materialization
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

AS_OF = datetime(2026, 3, 5, tzinfo=UTC)
DAY = timedelta(days=1)
pytestmark = pytest.mark.embedded


def payment(number: int) -> Row:
    at = AS_OF - DAY + timedelta(hours=number % 24)
    return {
        "transaction_id": number, "tx_datetime": at, "customer_id": number, "terminal_id": number % 5,
        "tx_amount": 10.0 + number, "known_at": at, "version": 1, "superseded_at": None, "loaded_in": 1,
        "first_event_date": at.date(), "event_date": at.date(),
    }  # fmt: skip


@pytest.fixture
def filled(home: Settings) -> Lakehouse:
    lakehouse = attach(home)
    put(lakehouse, FRAUD.events, [payment(n) for n in range(24)], EVENT_SCHEMA)
    label = {**payment(0), "is_fraud": True, "known_at": AS_OF}
    put(lakehouse, FRAUD.labels, [{name: label[name] for name in LABEL_SCHEMA.names}], LABEL_SCHEMA)
    update_windows(lakehouse, AS_OF)
    materialization.materialize(lakehouse, FRAUD, AS_OF)
    return lakehouse


def test_values_that_were_changed_or_lost_online_are_found(filled: Lakehouse) -> None:
    sound = online_store.equals_tables(filled, FRAUD, AS_OF)
    assert sound.passed and sound.numbers["rows"] == 45
    later = online_store.equals_tables(filled, FRAUD, AS_OF - DAY / 2)
    assert later.passed and "later days" in later.text
    old = online_store.equals_tables(filled, FRAUD, AS_OF + 400 * DAY)
    assert old.passed and "none that is served" in old.text
    with closing(sqlite3.connect(filled.settings.home / "feast" / "online.db")) as store, store:
        [table] = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")
                   if "customer_windows" in name and "written" not in name]  # fmt: skip
        [one] = store.execute(f'select entity_key from "{table}" limit 1').fetchone()
        store.execute(f'delete from "{table}" where entity_key = ?', [one])
    changed = online_store.equals_tables(filled, FRAUD, AS_OF)
    assert not changed.passed and changed.numbers["differing"] == 1 and "customer_windows" in changed.found
