"""The training set from marts to rows: targets, knowledge at the time, provenance, repeatability, on both engines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA, Row, built_or_copied, put, update_windows

from jobs.datasets import history, training_set
from jobs.feature_store import materialization
from jobs.feature_store import store as feature_store
from jobs.ingest.parsing import table_schema
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.envelope import DELETIONS
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import pins
from jobs.use_cases.fraud import CUSTOMER_WINDOWS, FRAUD, TRANSACTIONS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_OF = START + 40 * DAY


def payment(number: int, at: datetime, amount: float, **more: Any) -> Row:
    row = {"transaction_id": number, "tx_datetime": at, "customer_id": number % 2, "terminal_id": number % 3}
    row |= {"tx_amount": amount, "known_at": at, "version": 1, "superseded_at": None, "loaded_in": 1}
    return row | {"first_event_date": at.date(), "event_date": at.date()} | more


def label(number: int, at: datetime, fraud: bool, known_at: datetime, superseded_at: datetime | None = None) -> Row:
    row = {"transaction_id": number, "customer_id": number % 2, "terminal_id": number % 3, "tx_datetime": at}
    row |= {"is_fraud": fraud, "known_at": known_at, "superseded_at": superseded_at, "loaded_in": 1}
    return row | {"event_date": at.date()}


def at(number: int) -> datetime:
    return START + number * DAY


@pytest.fixture
def marts(lakehouse: Lakehouse, built_marts: Path) -> Iterator[Lakehouse]:
    for kept in (lakehouse.settings.state / "fraud", lakehouse.settings.home / "feast"):
        shutil.rmtree(kept, ignore_errors=True)
    built_or_copied(lakehouse, built_marts, put_marts)
    yield lakehouse


def put_marts(lakehouse: Lakehouse) -> None:
    """40 payments, one a day; some corrected, some reported, one report withdrawn."""
    events = [payment(n, at(n), float(n + 1)) for n in range(41) if n != 7]
    corrected_at = at(9)
    events += [payment(7, at(7), 8.0, superseded_at=corrected_at)]
    events += [payment(7, at(7), 800.0, known_at=corrected_at, version=2)]
    labels = [
        label(1, at(1), True, at(5)),  # known fraud
        label(30, at(30), False, at(31)),  # known to be legitimate, long before it would be mature
        label(35, at(35), True, at(38)),  # young, but reported
        label(36, at(36), True, AS_OF + HOUR),  # reported after as_of, and too young to be called legitimate
        label(2, at(2), True, AS_OF + HOUR),  # reported after as_of: legitimate by maturity
        label(3, at(3), True, at(4), superseded_at=at(6)),
        label(3, at(3), False, at(6)),  # the report was withdrawn
    ]
    put(lakehouse, FRAUD.events, events, EVENT_SCHEMA)
    put(lakehouse, FRAUD.labels, labels, LABEL_SCHEMA)
    update_windows(lakehouse, AS_OF)


def built(lakehouse: Lakehouse) -> dict[int, Row]:
    return {row["transaction_id"]: row for row in lakehouse.to_arrow(FRAUD.training_set).to_pylist()}


def test_targets_features_and_provenance(marts: Lakehouse) -> None:
    result = training_set.build(marts, FRAUD, AS_OF)
    rows = built(marts)
    mature = [n for n in range(41) if at(n) <= AS_OF - FRAUD.label_maturity]
    assert sorted(rows) == sorted({*mature, 30, 35}) and result["rows_written"] == len(rows)
    assert {n for n, row in rows.items() if row["is_fraud"]} == {1, 35}
    # The payment that was corrected later is seen as it was when it was decided about.
    assert rows[7]["tx_amount"] == 8.0
    # Its own customer's history at that moment, this payment included.
    assert rows[9]["customer_tx_count_30d"] == 5
    assert rows[9]["customer_amount_mean_30d"] == pytest.approx((2 + 4 + 6 + 800 + 10) / 5)
    assert rows[7]["customer_amount_mean_30d"] == pytest.approx((2 + 4 + 6 + 8) / 4)
    assert rows[7]["amount_to_mean_30d"] == pytest.approx(8 / 5)
    assert rows[7]["hour_of_day"] == 12.0 and rows[7]["is_weekend"] == int(at(7).weekday() >= 5)
    assert rows[0]["amount_zscore_30d"] is None
    state = marts.state(FRAUD.training_set)
    assert state["versions"] == marts.versions([FRAUD.events, FRAUD.labels, *map(FRAUD.window_table, FRAUD.windows)])
    assert state["as_of"] == AS_OF.isoformat() and state["feature_service"] == "fraud"
    assert result["version"] in pins.pinned(marts.settings, FRAUD.training_set)


@pytest.mark.embedded
def test_no_payment_is_joined_to_its_own_label(marts: Lakehouse) -> None:
    """Also where a payment of the same moment shares customer and terminal, and where the payment was moved."""
    same = {"customer_id": 50, "terminal_id": 60, "loaded_in": 2}
    moved = at(20) - 2 * HOUR
    events = [payment(number, at(20), 1.0, **same) for number in (100, 101)]
    events += [payment(102, at(20), 1.0, **same, superseded_at=at(21))]
    events += [payment(102, moved, 1.0, **same, version=2, known_at=at(21), first_event_date=at(20).date())]
    events += [payment(103, at(20) - HOUR / 2, 1.0, **same), payment(104, at(20) + HOUR, 1.0, **same)]
    labels = [label(100, at(20), True, at(20)) | same, label(101, at(20), True, at(20) - 14 * HOUR) | same]
    labels += [label(102, moved, True, at(20) - HOUR) | same]
    put(marts, FRAUD.events, events, EVENT_SCHEMA)
    put(marts, FRAUD.labels, labels, LABEL_SCHEMA)
    update_windows(marts, AS_OF)
    training_set.build(marts, FRAUD, AS_OF)
    rows = built(marts)
    known = {number: rows[number]["terminal_known_frauds_7d"] for number in range(100, 105)}
    assert known == {100: 0, 101: 0, 102: 0, 103: 1, 104: 3}
    assert known == {number: rows[number]["customer_known_frauds_30d"] for number in range(100, 105)}


@pytest.mark.embedded
def test_the_same_inputs_build_nothing_and_others_build_anew(marts: Lakehouse) -> None:
    first = training_set.build(marts, FRAUD, AS_OF)
    pins.unpin(marts.settings, by=f"{FRAUD.training_set}@{first['version']}")  # as if it had been killed before
    assert first["built"] and not training_set.build(marts, FRAUD, AS_OF)["built"]
    assert first["version"] in pins.pinned(marts.settings, FRAUD.training_set)
    assert training_set.build(marts, FRAUD, AS_OF - HOUR)["built"]


def forget(lakehouse: Lakehouse, table: str) -> None:
    """Empty a table and its state, so that the next build starts from nothing."""
    if not lakehouse.exists(table):
        return
    nothing = lakehouse.schema(table).empty_table()
    write_deltalake(lakehouse.delta(table), nothing, mode="overwrite", commit_properties=keeping({}))


def arrived(number: int, moment: datetime) -> tuple[list[Row], list[Row]]:
    """Late and corrected payments and labels of several ages that became known by `moment`."""
    day = moment.replace(hour=12, minute=0)
    events = [payment(1000 + 10 * number + n, day - n * DAY, 5.0 + n, known_at=day, loaded_in=number) for n in (0, 3)]
    labels = [
        label(5 + number, at(5 + number), True, day - HOUR) | {"loaded_in": number},
        label(24 + number, at(24 + number), number % 2 == 0, day + 2 * DAY) | {"loaded_in": number},
    ]
    return events, labels


def add(lakehouse: Lakehouse, table: str, rows: list[Row], schema: pa.Schema) -> None:
    lakehouse.write(table, pa.Table.from_pylist(rows, schema=schema), mode="append", schema=schema)


def test_a_set_brought_up_to_date_equals_one_built_anew(marts: Lakehouse, engine_name: str) -> None:
    table = FRAUD.training_set
    training_set.build(marts, FRAUD, AS_OF)
    moments = (AS_OF + 2 * DAY, AS_OF + 6 * DAY)
    for number, moment in enumerate(moments[: 1 if engine_name == "spark" else 2], start=2):
        events, labels = arrived(number, moment)
        add(marts, FRAUD.events, events, EVENT_SCHEMA)
        add(marts, FRAUD.labels, labels, LABEL_SCHEMA)
        # A report is withdrawn.
        marts.delta(FRAUD.labels).update(
            {"superseded_at": f"timestamp '{moment - HOUR:%Y-%m-%d %H:%M:%S}'", "loaded_in": str(number)},
            predicate=f"transaction_id = {3 + number} and superseded_at is null",
        )
        update_windows(marts, moment)
        before = set(marts.delta(table).file_uris())
        days = training_set.build(marts, FRAUD, moment)["days_written"]
        kept = before & set(marts.delta(table).file_uris())
        assert 0 < days < len(before) and len(kept) >= len(before) - days, "other days keep their files"
        brought, state = built(marts), marts.state(table)
        forget(marts, table)
        anew = training_set.build(marts, FRAUD, moment)
        assert anew["days_written"] == "all" and brought == built(marts) and state == marts.state(table)


def whole(lakehouse: Lakehouse) -> list[Row]:
    rows: list[Row] = lakehouse.to_arrow(history.table(FRAUD)).to_pylist()
    return sorted(rows, key=lambda row: row["transaction_id"])


@pytest.mark.embedded
def test_a_history_brought_up_to_date_equals_one_built_anew_and_gives_its_features(marts: Lakehouse) -> None:
    table = history.table(FRAUD)
    assert history.build(marts, FRAUD, AS_OF)["rows_written"] == 41
    assert history.build(marts, FRAUD, AS_OF)["rows_written"] == 0
    for number, moment in enumerate((AS_OF + 2 * DAY, AS_OF + 6 * DAY, AS_OF), start=2):
        if moment > AS_OF:
            events, labels = arrived(number, moment)
            add(marts, FRAUD.events, events, EVENT_SCHEMA)
            add(marts, FRAUD.labels, labels, LABEL_SCHEMA)
        update_windows(marts, moment)
        history.build(marts, FRAUD, moment)
        forget(marts, FRAUD.training_set)
        training_set.build(marts, FRAUD, moment)
        brought, features = whole(marts), built(marts)
        # Without the history, features are joined anew.
        for emptied in (table, FRAUD.training_set):
            forget(marts, emptied)
        training_set.build(marts, FRAUD, moment)
        assert built(marts) == features
        assert history.build(marts, FRAUD, moment)["days_written"] == "all" and whole(marts) == brought


def deleting(lakehouse: Lakehouse) -> None:
    """Payments of which some are deleted: before AS_OF, behind it, for a while, and after a correction moved one."""
    gone = at(25)
    moved = payment(50, at(11), 2.0, version=2, known_at=at(12), superseded_at=gone, first_event_date=at(10).date())
    events = [
        payment(10, at(10), 1.0, superseded_at=gone),
        payment(11, at(11), 1.0, superseded_at=gone),
        payment(11, at(11), 1.0, version=2, known_at=at(26)),
        payment(12, at(12), 1.0, superseded_at=AS_OF + HOUR),
        payment(50, at(10), 1.0, superseded_at=at(12)),
        moved,
        payment(51, at(10), 1.0),
    ]
    put(lakehouse, FRAUD.events, events, EVENT_SCHEMA)
    put(lakehouse, FRAUD.labels, [label(51, at(10), True, at(12))], LABEL_SCHEMA)
    raw = pa.unify_schemas([table_schema(TRANSACTIONS, {}), DELETIONS])
    write_deltalake(lakehouse.path(FRAUD.raw_table(TRANSACTIONS)), raw.empty_table(), partition_by=["event_date"])
    update_windows(lakehouse, AS_OF)


def test_payments_that_are_gone_are_no_targets_as_long_as_they_are(marts: Lakehouse) -> None:
    deleting(marts)
    moments = {at(25) - HOUR: [10, 50, 51], at(25): [51], AS_OF: [11, 12, 51], AS_OF + HOUR: [11, 51]}
    for moment, there in moments.items():
        training_set.build(marts, FRAUD, moment)
        assert sorted(built(marts)) == there, moment
    history.build(marts, FRAUD, AS_OF + HOUR)
    read = history.read(marts, FRAUD)
    for moment, there in moments.items():
        assert len(read.training_rows(moment, FRAUD)) == len(there), moment


@pytest.mark.embedded
def test_a_set_follows_a_deletion_of_a_payment_that_had_moved(marts: Lakehouse) -> None:
    deleting(marts)
    rows = marts.to_arrow(FRAUD.events).to_pylist()
    alive = [row | {"superseded_at": None} if row["version"] == 2 else row for row in rows]
    put(marts, FRAUD.events, alive, EVENT_SCHEMA)
    training_set.build(marts, FRAUD, AS_OF)
    assert sorted(built(marts)) == [11, 12, 50, 51]
    marts.delta(FRAUD.events).update(
        {"superseded_at": f"timestamp '{at(25):%Y-%m-%d %H:%M:%S}'", "loaded_in": "2"},
        predicate="transaction_id = 50 and version = 2",
    )
    training_set.build(marts, FRAUD, AS_OF)
    assert sorted(built(marts)) == [11, 12, 51]


@pytest.mark.embedded
def test_labels_alone_rewrite_no_event(marts: Lakehouse) -> None:
    history.build(marts, FRAUD, AS_OF)
    add(marts, FRAUD.labels, [label(33, at(33), True, AS_OF)], LABEL_SCHEMA)
    assert history.build(marts, FRAUD, AS_OF)["days_written"] <= 1
    assert history.read(marts, FRAUD).labels.rows.size == 8


@pytest.mark.embedded
def test_only_days_that_something_reached_are_written(marts: Lakehouse) -> None:
    training_set.build(marts, FRAUD, AS_OF)
    before = marts.delta(FRAUD.training_set)
    kept = set(before.file_uris())
    later = AS_OF + DAY
    add(marts, FRAUD.events, [payment(900, AS_OF + HOUR, 3.0, loaded_in=2)], EVENT_SCHEMA)
    add(marts, FRAUD.labels, [label(900, AS_OF + HOUR, True, AS_OF + 2 * HOUR)], LABEL_SCHEMA)
    update_windows(marts, later)
    result = training_set.build(marts, FRAUD, later)
    after = set(marts.delta(FRAUD.training_set).file_uris())
    assert result["days_written"] <= 8 and len(kept & after) >= len(kept) - result["days_written"]
    assert built(marts)[900]["is_fraud"]


@pytest.mark.embedded
def test_a_table_that_is_missing_is_named(lakehouse: Lakehouse) -> None:
    with pytest.raises(ValueError, match=r"expected the tables \['fraud.transactions'"):
        training_set.build(lakehouse, FRAUD, AS_OF)


def online(lakehouse: Lakehouse, customer: int) -> float | None:
    store = feature_store.open_store(lakehouse, FRAUD)
    name = f"{CUSTOMER_WINDOWS.name}:customer_amount_max_30d"
    found = store.get_online_features([name], [{"customer_id": customer}]).to_dict()
    return found["customer_amount_max_30d"][0]


@pytest.mark.embedded
def test_the_online_store_follows_and_never_goes_back(marts: Lakehouse, tmp_path: Path) -> None:
    materialization.materialize(marts, FRAUD, START + 10 * DAY)
    assert online(marts, 1) == 800.0 and online(marts, 0) == 11.0
    again = materialization.materialize(marts, FRAUD, START + 10 * DAY)
    assert set(again.values()) == {"up to date"}
    materialization.materialize(marts, FRAUD, START + 8 * DAY)
    assert online(marts, 1) == 800.0
    materialization.materialize(marts, FRAUD, AS_OF)
    assert online(marts, 1) == 40.0 and online(marts, 0) == 41.0
