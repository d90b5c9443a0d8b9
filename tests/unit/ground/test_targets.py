"""Schedules and rules for labels as values: which times there are, and which declarations are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.churn import CHURN, ORDERS
from worlds.examples import with_examples

from jobs.errors import Invalid
from jobs.targets import DAYS, HorizonLabel, Schedule
from jobs.use_case import Column
from jobs.windows import Aggregate, WindowFeatures

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZONES = ("UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
starts = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@given(st.sampled_from((*DAYS, "day", "month")), st.integers(4, 23), st.sampled_from(ZONES), starts, st.integers(0, 80))
@with_examples(60)
def test_times_are_those_of_the_clock_on_the_wall(which: str, hour: int, zone: str, first: datetime, days: int) -> None:
    """Where no clock is set at that hour: minute by minute, which of them a person there would name."""
    schedule, last = Schedule(f"{which} {hour:02}:30", "orders", zone), first + days * DAY
    begin = first.replace(minute=0, second=0, microsecond=0)
    minutes = (begin + n * timedelta(minutes=15) for n in range(4 * 24 * days + 8))
    local = ((at, at.astimezone(ZoneInfo(zone))) for at in minutes)
    wanted = [
        at for at, there in local
        if (there.hour, there.minute) == (hour, 30) and first <= at <= last
        and (which == "day" or (which == "month" and there.day == 1) or DAYS[there.weekday()] == which)
    ]  # fmt: skip
    assert list(schedule.moments(first, last)) == wanted


def test_a_time_that_clocks_skip_comes_once_and_one_that_comes_twice_too() -> None:
    night = Schedule("day 01:30", "orders", "Europe/London")
    spring = list(night.moments(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)))
    assert spring == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]
    autumn = list(night.moments(datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC)))
    assert autumn == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]


def test_the_next_times_are_those_after_a_moment() -> None:
    monday = Schedule("Monday 06:00", "orders")
    at = datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert monday.after(at, 2) == at + 14 * DAY and monday.after(at - HOUR, 1) == at
    assert Schedule("month 00:00", "orders").after(at, 2) == datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (lambda: Schedule("Montag 06:00", "orders"), "every: expected a day of the week, `day` or `month` and a time"),
        (lambda: Schedule("Monday 6:00", "orders"), "such as 'Monday 06:00', found 'Monday 6:00'"),
        (lambda: Schedule("day 24:00", "orders"), "every: expected"),
        (lambda: Schedule("day 06:00", "orders", "Europe/Londn"), "zone: expected a time zone such as"),
        (lambda: HorizonLabel("orders", timedelta(0), "any"), "horizon: expected more than 0"),
        (lambda: HorizonLabel("orders", DAY, "sum"), "column: expected one for `sum` and for nothing else, found None"),
        (lambda: HorizonLabel("orders", DAY, "any", "amount"), "found 'amount'"),
        (lambda: HorizonLabel("orders", DAY, "most"), "value: expected"),  # type: ignore[arg-type]
        (lambda: replace(CHURN, schedule=Schedule("day 06:00", "visits")), "entities_of: expected one of the sources"),
        (lambda: replace(CHURN, schedule=until("region")), "without \\['region'\\]"),
        (lambda: replace(CHURN, schedule=until("customer_id")), "until: expected a timestamp"),
        (lambda: replace(CHURN, events="churn.orders"), "events: expected another table than that of a source"),
        (lambda: replace(CHURN, labels="churn.orders"), "labels: expected another table than that of a source"),
        (lambda: replace(CHURN, horizon_label=HorizonLabel("orders", DAY, "sum", "weight")), "found orders without"),
        (lambda: replace(CHURN, windows=(windows("visits"),)), "visits_windows.facts: expected one of the sources"),
        (lambda: replace(CHURN, entities=("at",)), "found orders|found customers|rename them"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(declared: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        declared()


def test_facts_have_a_key_of_one_column() -> None:
    pair = replace(ORDERS, key=("order_id", "customer_id"))
    with pytest.raises(Invalid, match=r"order_windows\.facts: expected a source with a key of one column"):
        replace(CHURN, sources=(CHURN.sources[0], pair))


def until(column: str) -> Schedule:
    return Schedule("Monday 06:00", "customers", until=column)


def windows(facts: str) -> WindowFeatures:
    return WindowFeatures(f"{facts}_windows", "customer_id", aggregates=(Aggregate("count"),), facts=facts)


def test_names_that_follow_are_filled_in() -> None:
    short = replace(CHURN, events="", labels="", event_id="", event_timestamp="", entities=(), feature_service="",
                    windows=(windows("orders"),))  # fmt: skip
    assert (short.events, short.labels, short.feature_service) == ("churn.targets", "churn.labels", "churn")
    assert (short.event_id, short.event_timestamp, short.entities) == ("target_id", "at", ("customer_id",))
    assert (short.windows[0].id, short.windows[0].event_timestamp) == ("target_id", "at")
    assert short.windows[0].declared_at == windows("orders").declared_at
    assert short.features_fresh == 7 * DAY + 36 * HOUR
    of_events = replace(
        short, schedule=None, horizon_label=None, sources=(ORDERS,), windows=(), events="", labels="", event_id="",
        event_timestamp="", label="gift",
    )  # fmt: skip
    assert (of_events.events, of_events.event_id, of_events.event_timestamp) == (
        "churn.orders",
        "order_id",
        "ordered_at",
    )
    told = replace(ORDERS, name="gifts", columns=(*ORDERS.columns, Column("gift", "boolean")))
    assert replace(of_events, sources=(ORDERS, told), labels="").labels == "churn.gifts"
