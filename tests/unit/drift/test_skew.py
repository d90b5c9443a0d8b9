"""Planted faults in what was served are named with their cause; a clean log names none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from jobs.drift.skew import LogColumns, Skew, compare

KEYS = LogColumns("payment", "at", ("card", "shop"))
DAY = timedelta(days=1)
FEATURES = ("amount", "card_count_1d", "shop_count_1d", "card_mean_1d", "hour")
WINDOWS = {"card_count_1d": (("card",), DAY), "shop_count_1d": (("shop",), DAY), "card_mean_1d": (("card",), DAY)}


def offline(seed: int = 0, rows: int = 4000, inclusive: bool = False) -> pl.DataFrame:
    """Payments of a fortnight on an even quarter of an hour, so that windows often start at an event."""
    generator = np.random.default_rng(seed)
    at = np.sort(generator.integers(0, 14 * 96, rows)) * 900
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "payment": np.arange(rows) + 10**6,
            "at": [start + timedelta(seconds=int(second)) for second in at],
            "card": generator.integers(0, 150, rows),
            "shop": generator.integers(0, 90, rows),
            "amount": generator.lognormal(3, 1, rows).round(2),
        }
    )
    closed = "both" if inclusive else "right"
    one = frame.with_columns(one=pl.lit(1.0))
    rolling: Any = {"by": "at", "window_size": "1d", "closed": closed}
    return one.select(
        *frame.columns,
        pl.col("one").rolling_sum_by(**rolling).over("card").alias("card_count_1d"),
        pl.col("one").rolling_sum_by(**rolling).over("shop").alias("shop_count_1d"),
        pl.col("amount").rolling_mean_by(**rolling).over("card").alias("card_mean_1d"),
        (pl.col("at").dt.hour() + pl.col("at").dt.minute() / 60).alias("hour"),
    ).with_columns(pl.when(pl.col("payment") % 50 == 0).then(None).otherwise(pl.col("hour")).alias("hour"))


def log(frame: pl.DataFrame, last: int = 2000) -> pa.Table:
    """The latest rows as they were served: float32, without order."""
    return (
        frame.tail(last)
        .sample(fraction=1, shuffle=True, seed=1)
        .with_columns(pl.col(FEATURES).cast(pl.Float32))
        .to_arrow()
    )


def found(served: pa.Table, known: bool = True) -> Skew:
    return compare(served, offline().to_arrow(), KEYS, FEATURES, WINDOWS if known else None)


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_log_names_nothing(seed: int) -> None:
    frame = offline(seed)
    skew = compare(log(frame), frame.to_arrow(), KEYS, FEATURES, WINDOWS)
    assert skew == Skew(rows=2000, unknown=0)


def test_running_sums_that_end_in_another_digit_are_not_skew() -> None:
    frame = offline().with_columns(pl.col("card_mean_1d") * (1 + 1e-6))
    assert not found(log(frame)).features


def test_a_value_in_cents_is_a_unit() -> None:
    skew = found(log(offline().with_columns(pl.col("amount") * 100)))
    assert skew.named == ("amount",) and skew.features[0].diagnosis == "unit"
    assert skew.features[0].rows == 2000 and "100 times" in skew.features[0].detail


def test_an_hour_of_another_time_zone_is_an_offset() -> None:
    [hour] = found(log(offline().with_columns(pl.col("hour") + 1))).features
    assert (hour.feature, hour.diagnosis) == ("hour", "offset") and hour.size == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("name", "entity"), [("card_count_1d", "card"), ("shop_count_1d", "shop"), ("card_mean_1d", "card")]
)
def test_the_previous_value_of_the_entity_is_stale(name: str, entity: str, known: bool) -> None:
    stale = offline().with_columns(pl.col(name).shift(1).over(entity).alias(name))
    [skew] = found(log(stale), known).features
    assert (skew.feature, skew.diagnosis) == (name, "stale") and entity in skew.detail


def test_stale_on_one_row_in_twenty_is_stale_too() -> None:
    late = pl.col("payment") % 20 == 0
    before = pl.col("card_mean_1d").shift(1).over("card")
    [skew] = found(
        log(offline().with_columns(pl.when(late).then(before).otherwise("card_mean_1d").alias("card_mean_1d")))
    ).features
    assert skew.diagnosis == "stale" and 0 < skew.rows <= 100


@pytest.mark.parametrize("name", ["card_count_1d", "shop_count_1d", "card_mean_1d"])
def test_a_window_closed_at_the_other_end_is_a_boundary(name: str) -> None:
    [skew] = found(log(offline().with_columns(offline(inclusive=True)[name]))).features
    assert (skew.feature, skew.diagnosis) == (name, "boundary") and 0 < skew.rows < 1000


def test_without_windows_a_count_off_by_one_on_few_rows_is_a_boundary() -> None:
    frame = offline().with_columns(offline(inclusive=True)["card_count_1d"])
    [skew] = found(log(frame), known=False).features
    assert skew.diagnosis == "boundary" and skew.size == 1


def test_types_missing_columns_and_missing_values_are_named() -> None:
    frame = offline().with_columns(
        pl.when(pl.col("payment") % 3 == 0).then(None).otherwise(pl.col("amount")).alias("amount")
    )
    served = log(frame).drop_columns(["shop_count_1d"])
    hour = served.schema.get_field_index("hour")
    skew = found(served.set_column(hour, "hour", served.column("hour").cast(pa.string())))
    assert {each.feature: each.diagnosis for each in skew.features} == {
        "amount": "missing",
        "shop_count_1d": "missing column",
        "hour": "type",
    }


def test_what_no_diagnosis_fits_is_named_without_one() -> None:
    noise = np.random.default_rng(3).normal(0, 5, 4000)
    [skew] = found(log(offline().with_columns(pl.col("amount") + noise))).features
    assert skew.feature == "amount" and skew.diagnosis is None and skew.size == pytest.approx(5 * 0.6745, rel=0.1)


def test_events_that_offline_does_not_know_are_counted() -> None:
    served = log(offline())
    skew = compare(served, offline().head(3000).to_arrow(), KEYS, FEATURES, WINDOWS)
    assert (skew.rows, skew.unknown) == (1000, 1000)


def test_texts_that_were_served_otherwise_are_named_and_an_empty_one_is_missing() -> None:
    frame = offline().with_columns(kind=pl.col("shop").cast(pl.String), place=pl.lit("here"))
    table = frame.with_columns(place=pl.lit("")).to_arrow()
    assert not compare(log(frame), frame.to_arrow(), KEYS, ["kind", "place"]).features
    swapped = log(frame.with_columns(kind=pl.when(pl.col("shop") == 7).then(pl.lit("8")).otherwise(pl.col("kind"))))
    place, kind = compare(swapped, table, KEYS, ["kind", "place"]).features
    assert (place.feature, place.rows, place.diagnosis) == ("place", 2000, "missing")
    assert kind.feature == "kind" and kind.rows == (frame["shop"].tail(2000) == 7).sum()
    assert kind.detail == "served '8', offline '7'"


def test_an_event_twice_offline_is_an_error() -> None:
    twice = pl.concat([offline(), offline().head(1)]).to_arrow()
    with pytest.raises(ValueError, match="expected each payment once"):
        compare(log(offline()), twice, KEYS, FEATURES)
