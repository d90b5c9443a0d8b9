"""Features of a pair of columns through Feast: joined as they were known, and served online, key by key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worlds.marts import EVENT_SCHEMA, Row, put

from jobs.checks import online_store
from jobs.datasets.entity_values import entity_values
from jobs.errors import Invalid
from jobs.feature_store import materialization
from jobs.feature_store.store import open_store, quiet
from jobs.features import window_tables
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from jobs.window_lengths import BEFORE
from jobs.windows import Aggregate, WindowFeatures

AS_OF = datetime(2026, 3, 5, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PAIRS = WindowFeatures(
    "pair_windows",
    ("customer_id", "terminal_id"),
    "transaction_id",
    "tx_datetime",
    (Aggregate("count", windows=(90 * DAY,), delay=BEFORE, name="seen"),),
)
USE_CASE = replace(FRAUD, windows=(PAIRS,))
DECLARED = """
from datetime import timedelta
from feast import FeatureService
from jobs.feature_store.views import entity, feature_view, tags
from jobs.use_cases.fraud import FRAUD
from jobs.window_lengths import BEFORE
from jobs.windows import Aggregate, WindowFeatures

PAIRS = WindowFeatures(
    "pair_windows", ("customer_id", "terminal_id"), "transaction_id", "tx_datetime",
    (Aggregate("count", windows=(timedelta(days=90),), delay=BEFORE, name="seen"),),
)
customer, terminal = entity(FRAUD, "customer_id", "A cardholder."), entity(FRAUD, "terminal_id", "A point of sale.")
pairs = feature_view(FRAUD, PAIRS, [terminal, customer], timedelta(days=30))
fraud = FeatureService(name="fraud", features=[pairs], tags=tags(FRAUD))
"""
PAIR_OF = [(1, 23), (12, 3), (1, 23), (1, 3), (12, 3), (1, 23)]
"""Customer and terminal of each payment, an hour apart; joined as texts two of the pairs would be one."""


def payment(number: int) -> Row:
    customer, terminal = PAIR_OF[number]
    at = AS_OF - DAY + number * HOUR
    return {
        "transaction_id": number, "tx_datetime": at, "customer_id": customer, "terminal_id": terminal,
        "tx_amount": 10.0, "known_at": at, "version": 1, "superseded_at": None, "loaded_in": 1,
        "first_event_date": at.date(), "event_date": at.date(),
    }  # fmt: skip


@pytest.mark.embedded
def test_a_pair_has_its_own_features_in_tables_joins_and_online(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "fraud_features.py").write_text(DECLARED)
    lakehouse = attach(replace(home, feature_repo=tmp_path / "repo"))
    put(lakehouse, FRAUD.events, [payment(number) for number in range(len(PAIR_OF))], EVENT_SCHEMA)
    table = USE_CASE.window_table(PAIRS)
    window_tables.update(lakehouse, PAIRS, FRAUD.events, None, table, AS_OF)
    store = open_store(lakehouse, USE_CASE)
    asked = lakehouse.read(FRAUD.events).selectExpr("transaction_id", "customer_id", "terminal_id",
                                                    "tx_datetime as event_timestamp")  # fmt: skip
    joined = store.get_historical_features(asked, features=store.get_feature_service("fraud")).to_spark_df()  # type: ignore[arg-type,attr-defined]
    seen = {row["transaction_id"]: row["seen_90d_before"] for row in joined.collect()}
    assert seen == {number: PAIR_OF[:number].count(pair) for number, pair in enumerate(PAIR_OF)}
    assert materialization.materialize(lakehouse, USE_CASE, AS_OF)["pair_windows"].startswith("known from")
    online = online_store.equals_tables(lakehouse, USE_CASE, AS_OF)
    assert online.passed and online.numbers["rows"] == 3
    [value] = entity_values(lakehouse, USE_CASE, PAIRS.keys, ("1", "23"), AS_OF)
    assert (value.value, value.event_id) == (2, 5)
    from jobs.feature_store.views import entity, feature_view

    with quiet(), pytest.raises(Invalid, match="expected the entities of customer_id, terminal_id, found customer_id"):
        feature_view(FRAUD, PAIRS, entity(FRAUD, "customer_id", "A cardholder."), DAY)


@pytest.mark.embedded
def test_two_use_cases_with_views_and_services_of_equal_names_do_not_meet(home: Settings, tmp_path: Path) -> None:
    cards = replace(USE_CASE, name="cards", events="cards.transactions", labels="cards.labels")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "fraud_features.py").write_text(DECLARED)
    of_cards = DECLARED.replace("FRAUD", "CARDS").replace("import CARDS", "import FRAUD")
    made = "from dataclasses import replace\n\nCARDS = replace(FRAUD, name='cards')\nPAIRS ="
    (tmp_path / "repo" / "cards_features.py").write_text(of_cards.replace("PAIRS =", made, 1))
    lakehouse = attach(replace(home, feature_repo=tmp_path / "repo"))
    for use_case, count in ((USE_CASE, len(PAIR_OF)), (cards, 1)):
        put(lakehouse, use_case.events, [payment(number) for number in range(count)], EVENT_SCHEMA)
        table = use_case.window_table(PAIRS)
        window_tables.update(lakehouse, PAIRS, use_case.events, None, table, AS_OF)
        materialization.materialize(lakehouse, use_case, AS_OF)
    for use_case, rows, seen in ((USE_CASE, 3, 2), (cards, 1, 0)):
        online = online_store.equals_tables(lakehouse, use_case, AS_OF)
        assert online.passed and online.numbers["rows"] == rows
        store = open_store(lakehouse, use_case)
        assert store.project == f"evergreen_{use_case.name}"
        found = store.get_online_features(["pair_windows:seen_90d_before"], [{"customer_id": 1, "terminal_id": 23}])
        assert found.to_dict()["seen_90d_before"] == [seen]
