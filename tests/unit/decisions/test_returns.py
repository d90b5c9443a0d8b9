"""A use case of texts as ids, columns that functions make, and categories: decided like the first, in every cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.decided_world import NoModel

from jobs.decisions import base_tables, consistency, opened, told
from jobs.decisions.decider import Decider
from jobs.decisions.started import Started
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.returns import RETURNS

pytestmark = pytest.mark.embedded
START, DAY = datetime(2011, 3, 1, 9, tzinfo=UTC), timedelta(days=1)
TIME = pa.timestamp("us", "UTC")
EVENTS = pa.schema(
    {"line_id": pa.string(), "invoiced_at": TIME, "buyer_id": pa.int64(), "item_id": pa.string(),
     "quantity": pa.int64(), "unit_price": pa.float64(), "amount": pa.float64(), "is_abroad": pa.bool_(),
     "known_at": TIME, "version": pa.int32(), "superseded_at": TIME, "event_date": pa.date32()}
)  # fmt: skip
LABELS = pa.schema(
    {"line_id": pa.string(), "buyer_id": pa.int64(), "item_id": pa.string(), "invoiced_at": TIME,
     "is_returned": pa.bool_(), "known_at": TIME, "superseded_at": TIME, "event_date": pa.date32()}
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    chance, settings = Random(0), Settings(home=tmp_path)
    events, labels = [], []
    for number in range(200):
        at = START - chance.random() * 100 * DAY
        quantity, price = chance.randrange(1, 20), chance.choice([0.85, 2.1, 0.1])
        event = {
            "line_id": f"é-{number}", "invoiced_at": at, "buyer_id": chance.randrange(5),
            "item_id": chance.choice(["85123A", "22423"]), "quantity": quantity, "unit_price": price,
            "amount": quantity * price, "is_abroad": False, "known_at": at, "version": 1, "superseded_at": None,
            "event_date": at.date(),
        }  # fmt: skip
        events.append(event)
        if chance.random() < 0.3:
            known = at + chance.random() * 50 * DAY
            labels.append({name: event.get(name) for name in LABELS.names} | {"is_returned": True, "known_at": known})
    house = attach(settings)
    write_deltalake(house.path(RETURNS.events), pa.Table.from_pylist(events, schema=EVENTS))
    write_deltalake(house.path(RETURNS.labels), pa.Table.from_pylist(labels, schema=LABELS))
    return settings


@contextmanager
def worker(settings: Settings) -> Iterator[tuple[Decider, list[int]]]:
    now = [microseconds(START)]
    with opened.lease(settings, RETURNS) as handle:
        opened.renew(settings, RETURNS, handle, lambda: now[0])
        decider = opened.open_decider(settings, RETURNS, lambda: now[0])
        yield decider, now
        decider.close()


def line(id: str, **given: Any) -> dict[str, Any]:
    return {"line_id": id, "invoice": "536365", "buyer_id": 1, "item_id": " 85123a ", "quantity": 3, "unit_price": 2.55,
            "country": "France"} | given  # fmt: skip


def test_lines_are_decided_as_the_batch_kernel_computes_them(home: Settings) -> None:
    chance = Random(1)
    with worker(home) as (decider, now):
        for number in range(60):
            now[0] += chance.choice([1, 10**6, 10**11])
            country = chance.choice(["France", "United Kingdom", None])
            price, quantity = chance.choice([0.1, 2.55]), chance.randrange(1, 9)
            body = line(
                f"n{number}", buyer_id=chance.randrange(5), country=country, unit_price=price, quantity=quantity
            )
            started = decider.start(decider.schema.read(body))
            assert isinstance(started, Started)
            assert started.values["item_id"] == "85123A" and started.values["amount"] == quantity * price
            assert started.values["is_abroad"] is (country == "France")
            decider.finish(started, NoModel())
            if chance.random() < 0.3:
                told.report(decider, f"n{number}", {"is_returned": True})
    house = attach(home)
    with opened.log_of(home, RETURNS) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        rows = base_tables.feature_row(house, RETURNS, base.tables)
        found = consistency.compare(house, rows, base, log.records())
    assert found.decisions == 60 and found.different == 0, found.examples


def test_a_column_that_the_tables_have_as_text_is_asked_as_text(home: Settings) -> None:
    with worker(home) as (decider, _):
        for changed, message in (
            ({"line_id": 5}, "column line_id: expected a text"),
            ({"item_id": 22423}, "column item_id: expected a text"),
            ({"quantity": 2.5}, "column quantity: expected an integer"),
        ):
            with pytest.raises(Invalid, match=message):
                decider.schema.read(line("x") | changed)
        assert decider.schema.read(line("x", quantity=3.0)).values["quantity"] == 3


@pytest.mark.parametrize("id", ["", " ", "\t", "\u200b", "null", "N/A", "a\0b", "x" * 1001])
def test_an_id_that_names_nothing_is_refused(home: Settings, id: str) -> None:
    with worker(home) as (decider, _), pytest.raises(Invalid, match="column line_id: expected a text of 1 to 1,000"):
        decider.schema.read(line(id))


def test_an_id_that_is_a_string_stays_as_it_is(home: Settings) -> None:
    """As in tables: files do not change strings either."""
    with worker(home) as (decider, _):
        assert decider.schema.read(line(" n1")).id == " n1"
