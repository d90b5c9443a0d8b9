"""Hours of decisions: rhythm and noise alarm hardly ever, a fault does within two hours, and names what it is in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.hours_of_decisions import FIRST, Change, Rhythm, Rows, simulated

from jobs.drift import online_hours
from jobs.drift.hourly_counts import HOURS, HourlyCounts, counted
from jobs.drift.online_hours import HourDrift

STABLE = 28
LABELS = ("frauds_28d",)


def part(counts: HourlyCounts, first: int, last: int) -> HourlyCounts:
    return replace(counts, first=counts.first + timedelta(days=first), counts=counts.counts[first:last])


def judged(counts: HourlyCounts, hours: list[tuple[int, int]], stable: int = STABLE) -> list[HourDrift]:
    """Hours by the noise of the days before the first of them."""
    first = hours[0][0]
    band = online_hours.band(part(counts, first - stable, first), LABELS)
    return [online_hours.judge(band, counts, counts.moment(*hour)) for hour in hours]


@pytest.mark.parametrize(
    ("seed", "rhythm"),
    [(0, Rhythm()), (1, Rhythm(by_day=40, by_night=8)), (2, Rhythm(by_day=900, by_night=60, alike=4))],
    ids=["usual", "few", "many"],
)
def test_a_month_of_nights_days_and_weekends_alarms_once_at_most(seed: int, rhythm: Rhythm) -> None:
    counts = simulated(STABLE + 30, seed, rhythm)
    found: list[HourDrift] = []
    for day in range(STABLE, len(counts), 2):  # as the asset does, which measures the noise anew
        found += judged(counts, [(day + n // HOURS, n % HOURS) for n in range(2 * HOURS)])
    assert len(found) == 720 and sum(bool(each.features) for each in found) > 500
    assert sum(bool(each.named) for each in found) <= 1, [(each.hour, each.named) for each in found if each.named]


def test_two_weeks_are_enough_for_the_next_weekend() -> None:
    counts = simulated(21, 3)
    band = online_hours.band(part(counts, 0, 14), LABELS)
    found = [online_hours.judge(band, counts, counts.moment(day, hour)) for day in (18, 19, 20) for hour in range(24)]
    assert sum(bool(each.features) for each in found) > 60
    assert not [each.named for each in found if each.named]
    for day in (12, 13):  # without the weekends before it nothing is said of this one
        short = online_hours.band(part(counts, 0, day), LABELS)
        last = online_hours.judge(short, counts, counts.moment(day, 12))
        assert not last.features and "fewer than 14 days" in last.note


def inverted(rows: Rows) -> Rows:
    return rows | {"score": 1 - rows["score"]}


def doubled(rows: Rows) -> Rows:
    return rows | {name: 2 * rows[name] for name in ("amount", "amount_to_mean")}


def without(name: str) -> Change:
    return lambda rows: rows | {name: np.full_like(rows[name], np.nan)}


FAULTS: dict[str, tuple[Change, set[str]]] = {
    "scores inverted": (inverted, {"score"}),
    "no scores": (without("score"), {"score"}),
    "amounts twice as large": (doubled, {"amount", "amount_to_mean"}),
    "a feature missing": (without("amount_to_mean"), {"amount_to_mean"}),
    "a rare feature missing": (without("frauds_28d"), {"frauds_28d"}),
    "a constant": (lambda rows: rows | {"is_away": np.ones_like(rows["is_away"])}, {"is_away"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("start", [(30, 12), (33, 15)], ids=["weekday", "weekend"])
def test_a_fault_alarms_within_two_hours_and_is_named(fault: str, start: tuple[int, int]) -> None:
    change, names = FAULTS[fault]
    hours = [(start[0], start[1] + n) for n in range(2)]
    for seed in (4, 5):
        found = judged(simulated(start[0] + 1, seed, Rhythm(), dict.fromkeys(hours, change)), hours)
        named = {name for each in found for name in each.named}
        assert named and named <= names, [each.features for each in found]


def test_few_rows_widen_the_band_and_fewer_are_not_judged() -> None:
    counts = simulated(31, 6)
    thinned = counts.counts.copy()
    rows = counts.rows[30, 12, 0]
    thinned[30, 12] = np.random.default_rng(0).binomial(counts.counts[30, 12], 20 / rows)
    few = replace(counts, counts=thinned)
    [many_found, few_found] = (judged(each, [(30, 12)])[0] for each in (counts, few))
    for name, feature in few_found.features.items():
        others = many_found.features[name].by_measure
        assert all(limit > 2 * others[measure][1] for measure, (_, limit) in feature.by_measure.items())
    thinned[30, 12] = 0
    [nothing] = judged(few, [(30, 12)])
    assert not nothing.features and nothing.note.startswith("0 decisions")


def test_an_incident_of_the_past_neither_hides_a_fault_nor_raises_one() -> None:
    missing = without("amount_to_mean")
    incident = {(20, hour): missing for hour in range(HOURS)}
    calm = judged(simulated(32, 7, Rhythm(), incident), [(30, hour) for hour in range(HOURS)])
    assert not [each.named for each in calm if each.named]
    hours = {(30, 12): missing}
    [again] = judged(simulated(31, 7, Rhythm(), incident | hours), [(30, 12)])
    assert again.named == ("amount_to_mean",)


def test_no_history_says_so() -> None:
    counts = HourlyCounts(FIRST, ("a",), np.full((1, HOURS, 1, 3), 9, np.int64))
    band = online_hours.band(part(counts, 0, 0))
    found = online_hours.judge(band, counts, counts.moment(0, 5))
    assert found.rows == 27 and not found.features and found.note and not found.named


VALUES = st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 60), VALUES), max_size=40), st.lists(st.integers(-4, 4), unique=True))
def test_counts_are_those_of_a_loop(rows: list[tuple[int, float]], cuts: list[int]) -> None:
    edges, bins = np.array(sorted(cuts), np.float32), len(cuts) + 3
    hours = np.array([hour for hour, _ in rows], np.int64)
    found = counted(hours, np.array([value for _, value in rows], np.float32), edges, 2, bins)
    expected = np.zeros((2, HOURS, bins), int)
    for hour, value in rows:
        if 0 <= hour < 48:
            place = bins - 1 if np.isnan(value) else sum(value > cut for cut in cuts)
            expected[hour // HOURS, hour % HOURS, place] += 1
    assert (found == expected).all()
