"""What no histogram of one feature shows is found, and days that differ as they always do are not."""

from datetime import date, timedelta

import numpy as np
import pytest

from jobs.stats import domain_classifier
from jobs.stats.domain_classifier import Null, RowsByDay

START = date(2026, 1, 1)
NAMES = ("a", "b", "c", "d")


def day_of(
    generator: np.random.Generator, rows: int = 400, correlation: float = 0.0, wander: float = 0.0
) -> np.ndarray:
    """Four normal features with a few missing; `a` and `b` correlate; `d` has another mean every day."""
    values = generator.normal(size=(rows, 4))
    values[:, 1] = correlation * values[:, 0] + (1 - correlation**2) ** 0.5 * values[:, 1]
    values[:, 3] += wander * generator.normal()
    values[generator.random((rows, 4)) < 0.02] = np.nan
    return values


def world(seed: int, days: int, **planted: float) -> RowsByDay:
    generator = np.random.default_rng(seed)
    return {START + timedelta(days=n): day_of(generator, **planted) for n in range(days)}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def known() -> Null:
    return domain_classifier.null(world(seed=0, days=35), seed=0)


def test_days_drawn_alike_have_an_auc_of_one_half(known: Null) -> None:
    assert known.location == pytest.approx(0.5, abs=0.02)
    # 400 rows against 400 of four weeks.
    assert 0.0204 <= known.scale < 0.035
    assert known.days == 14


def test_no_alarm_in_stable_days(known: Null) -> None:
    rows = world(seed=1, days=28 + 40)
    found = [
        domain_classifier.two_sample_test(known, rows, day, NAMES, seed=n) for n, day in enumerate(list(rows)[28:])
    ]
    assert not [each for each in found if each.alarm or each.named]
    assert max(each.score for each in found) < 0.9


def test_features_that_part_ways_alarm_though_each_alone_is_as_before(known: Null) -> None:
    rows = dict(world(seed=2, days=28))
    today = START + timedelta(days=28)
    rows[today] = day_of(np.random.default_rng(3), correlation=0.9)
    found = domain_classifier.two_sample_test(known, rows, today, NAMES, seed=0)
    assert found.alarm and set(found.named[:2]) == {"a", "b"} and found.auc > 0.65


def test_a_missing_share_alarms(known: Null) -> None:
    rows = dict(world(seed=4, days=28))
    today = START + timedelta(days=28)
    values = day_of(np.random.default_rng(5))
    values[:150, 2] = np.nan
    rows[today] = values
    found = domain_classifier.two_sample_test(known, rows, today, NAMES, seed=0)
    assert found.alarm and found.named[0] == "c"


def test_a_world_that_always_wanders_from_day_to_day_is_stable() -> None:
    restless = domain_classifier.null(world(seed=6, days=35, wander=0.5), seed=0)
    assert restless.location > 0.53
    rows = world(seed=7, days=28 + 30, wander=0.5)
    found = [
        domain_classifier.two_sample_test(restless, rows, day, NAMES, seed=n) for n, day in enumerate(list(rows)[28:])
    ]
    assert sum(each.alarm for each in found) == 0


def test_an_auc_is_the_same_each_time_and_blind_to_the_order_of_columns() -> None:
    generator = np.random.default_rng(8)
    now, then = day_of(generator), day_of(generator) + 0.3
    auc, gains = domain_classifier.separate(now, then, seed=1)
    assert domain_classifier.separate(now, then, seed=1)[0] == auc
    other, reversed_gains = domain_classifier.separate(now[:, ::-1], then[:, ::-1], seed=1)
    assert other == pytest.approx(auc, abs=0.01) and reversed_gains[::-1] == pytest.approx(gains, rel=0.05)


def test_a_sample_is_bounded_and_in_random_order() -> None:
    values = np.arange(10_000.0)[:, None]
    drawn = domain_classifier.sample(values, seed=0)
    assert len(np.unique(drawn)) == domain_classifier.ROWS
    assert drawn[:500].mean() == pytest.approx(5000, abs=500)
    assert sorted(domain_classifier.sample(values[:50], seed=0).ravel()) == list(range(50))


def test_too_few_days_are_an_error(known: Null) -> None:
    with pytest.raises(ValueError, match="stable days"):
        domain_classifier.null(world(seed=0, days=34), seed=0)
    with pytest.raises(ValueError, match="same weekdays"):
        domain_classifier.two_sample_test(known, world(seed=0, days=28), START + timedelta(days=27), NAMES, seed=0)
