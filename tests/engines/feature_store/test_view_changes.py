"""Views beside windows: which tables stand behind a feature service, and which moments a change of one reaches."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from worlds import profiled_world as world
from worlds.examples import with_examples
from worlds.profiled_world import BANK, HOUR, START

from jobs.feature_store import served_views, view_changes
from jobs.feature_store.served_views import ServedView
from jobs.lakehouse.tables import Lakehouse, attach

pytestmark = pytest.mark.embedded
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema({"shop": pa.string(), "at": TIME, "known": TIME, "rating": pa.int64()})
Rated = tuple[str, int, int, int]  # shop, hour of the event, hour at which it was known, rating
DECLARED = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from jobs.feature_store.views import entity, feature_view, profile_view, tags
from worlds.profiled_world import BANK

customer = entity(BANK, "customer_id", "A customer.")
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING, tags=tags(BANK))
windows = feature_view(BANK, BANK.windows[0], customer, timedelta(days=30))
customers = profile_view(BANK, BANK.profiles[0], customer)

def rated(name, table):
    source = SparkSource(name=table, table=table, timestamp_field="at", created_timestamp_column="known",
                         field_mapping={"rating": "stars"})
    return FeatureView(name=name, entities=[shop], ttl=timedelta(hours=6), tags=tags(BANK), source=source,
                       schema=[Field(name="stars", dtype=Int64), Field(name="of_nobody", dtype=Int64)])

ratings, elsewhere, unserved = map(rated, ("ratings", "elsewhere", "u"), ("bank.ratings", "other.ratings", "bank.u"))

@on_demand_feature_view(sources=[ratings[["stars"]]], schema=[Field(name="half", dtype=Float64)], mode="pandas",
                        tags=tags(BANK))
def half(inputs):
    return inputs[["stars"]].rename(columns={"stars": "half"}) / 2

bank = FeatureService(name="bank", features=[windows, customers, half, elsewhere], tags=tags(BANK))
"""


def test_tables_of_all_views_are_inputs_but_those_that_are_not_ours(lakehouse: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "bank_features.py").write_text(DECLARED)
    house = attach(replace(lakehouse.settings, feature_repo=tmp_path / "repo"))
    (house.settings.state / "bank" / "served_views.json").unlink(missing_ok=True)
    for _ in range(2):  # as they are read first, and as they are kept
        views = {view.name: view for view in served_views.beside_windows(house, BANK)}
        assert set(views) == {"customers", "ratings"}
        assert views["ratings"] == ServedView(
            "ratings", "bank.ratings", {"shop": "shop"}, "at", "known", ("rating",), 6 * 3600.0
        )
        assert views["customers"].ttl is None and set(views["customers"].columns) == set(world.PROFILE.columns)
    write_deltalake(house.path("other.ratings"), pa.Table.from_pylist([], schema=SCHEMA))
    assert "elsewhere" in {view.name for view in served_views.beside_windows(house, BANK)}
    (tmp_path / "repo" / "bank_features.py").write_text(DECLARED.replace("customers, half, ", ""))
    assert {view.name for view in served_views.beside_windows(house, BANK)} == {"elsewhere"}


def answer(rows: list[Rated], shop: str, moment: int, ttl: int | None) -> int | None:
    """The rating that is known at an hour, by the rule alone."""
    known = [row for row in rows if row[0] == shop and row[1] <= moment and row[2] <= moment]
    last = max(known, key=lambda row: (row[1], row[2]), default=None)
    return None if last is None or (ttl is not None and moment - last[1] > ttl) else last[3]


def rows() -> st.SearchStrategy[list[Rated]]:
    hours = st.integers(0, 20)
    each = st.tuples(st.sampled_from("ab"), hours, hours, st.integers(0, 3))
    return st.lists(each, max_size=5, unique_by=lambda row: row[:3])


@with_examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=rows(), kept=rows(), now=rows(), ttl=st.sampled_from([None, 6]))
def test_an_answer_differs_only_within_the_spans(
    lakehouse: Lakehouse, before: list[Rated], kept: list[Rated], now: list[Rated], ttl: int | None
) -> None:
    view = ServedView("ratings", "bank.ratings", {"shop_id": "shop"}, "at", "known", ("rating",), (ttl or 0) * 3600.0)
    mine = {row[:3] for row in kept}
    both = [[*kept, *(row for row in some if row[:3] not in mine)] for some in (before, now)]
    versions = [written(lakehouse, rows) for rows in both]
    spans = view_changes.changed(lakehouse, view, *versions)
    assert spans is not None and spans.columns == ["shop_id", view_changes.SINCE, view_changes.UNTIL]
    if sorted(both[0]) == sorted(both[1]):
        assert spans.is_empty()
    for shop in "ab":
        for hour in range(40):
            if answer(both[0], shop, hour, ttl) != answer(both[1], shop, hour, ttl):
                assert within(spans, shop, START + hour * HOUR), (shop, hour)


def written(lakehouse: Lakehouse, rows: list[Rated]) -> int:
    names = [(shop, START + at * HOUR, START + known * HOUR, rating) for shop, at, known, rating in rows]
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in names], schema=SCHEMA)
    write_deltalake(lakehouse.path("bank.ratings"), table, mode="overwrite")
    version = lakehouse.version("bank.ratings")
    assert version is not None
    return version


def within(spans: pl.DataFrame, shop: str, moment: datetime) -> bool:
    since, until = pl.col(view_changes.SINCE), pl.col(view_changes.UNTIL)
    mine = spans.filter(pl.col("shop_id") == shop, since <= moment, until.is_null() | (until > moment))
    return not mine.is_empty()


def test_a_version_that_is_gone_may_differ_anywhere(lakehouse: Lakehouse) -> None:
    view = ServedView("ratings", "bank.ratings", {"shop": "shop"}, "at", "known", ("rating",))
    version = written(lakehouse, [("a", 0, 0, 1)])
    assert view_changes.changed(lakehouse, view, version + 5, version) is None
    assert view_changes.changed(lakehouse, replace(view, columns=("stars",)), version, version) is None


def test_a_span_is_cut_where_another_row_takes_over_or_the_row_is_too_old(lakehouse: Lakehouse) -> None:
    view = ServedView("ratings", "bank.ratings", {"shop": "shop"}, "at", "known", ("rating",), 12 * 3600.0)
    first = [("a", 0, 0, 1), ("a", 10, 11, 2)]
    versions = written(lakehouse, first), written(lakehouse, [*first, ("a", 4, 6, 3), ("b", 1, 1, 3), ("a", 2, 11, 3)])
    spans = view_changes.changed(lakehouse, view, *versions)
    assert spans is not None
    hours = {(shop, (since - START) / HOUR, (until - START) // HOUR) for shop, since, until in spans.rows()}
    assert hours == {("a", 6, 11), ("b", 1, 13)}
