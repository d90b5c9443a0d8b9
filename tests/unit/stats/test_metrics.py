"""Metrics against slow definitions written out loop by loop, with ties everywhere."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.problem import Review
from jobs.stats import metrics

Row = tuple[bool, float, int, int, float]
"""label, score, card, day, amount"""

ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 4).map(lambda n: n / 4),
        st.integers(0, 4),
        st.integers(0, 2),
        st.integers(0, 50).map(float),
    ),
    min_size=1,
    max_size=14,
)
MIXED = ROWS.filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))


def columns(rows: list[Row]) -> list[np.ndarray[Any, Any]]:
    return [np.array(column) for column in zip(*rows, strict=True)]


@given(MIXED)
def test_auc_is_the_share_of_pairs_in_order_with_ties_as_half(rows: list[Row]) -> None:
    labels, scores, *_ = columns(rows)
    pairs = [np.sign(a - b) for a, b in product(scores[labels], scores[~labels])]
    assert metrics.auc_roc(labels, scores) == pytest.approx(np.mean(pairs) / 2 + 0.5)


@given(MIXED)
def test_average_precision_sums_gains_in_recall_times_precision(rows: list[Row]) -> None:
    labels, scores, *_ = columns(rows)
    expected, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        alerts = scores >= threshold
        recall, precision = (alerts & labels).sum() / labels.sum(), (alerts & labels).sum() / alerts.sum()
        expected, before = expected + (recall - before) * precision, recall
    assert metrics.average_precision(labels, scores) == pytest.approx(expected)


@given(MIXED, st.randoms())
def test_the_order_of_rows_changes_nothing(rows: list[Row], random: Any) -> None:
    review = Review(threshold=0.5, capacity=2, cost=1.0, cards=2)
    shuffled = random.sample(rows, len(rows))
    found = []
    for some in (rows, shuffled):
        labels, scores, cards, days, amounts = columns(some)
        found.append(metrics.evaluate(labels, scores, cards, days, amounts, review))
    assert found[0] == pytest.approx(found[1])


@given(ROWS, st.integers(-1, 5).map(lambda n: n / 4))
def test_rows_at_the_threshold_are_alerts(rows: list[Row], threshold: float) -> None:
    labels, scores, *_ = columns(rows)
    caught = sum(label and score >= threshold for label, score, *_ in rows)
    raised, positives = sum(row[1] >= threshold for row in rows), int(labels.sum())
    at = metrics.at_threshold(labels, scores, threshold)
    assert at.precision == pytest.approx(caught / raised if raised else 0)
    assert at.recall == pytest.approx(caught / positives if positives else 0)
    harmonic = 2 * at.precision * at.recall / (at.precision + at.recall) if caught else 0
    assert at.f1 == pytest.approx(harmonic)


@given(ROWS, st.integers(1, 4))
def test_card_precision_leaves_out_cards_found_on_earlier_days(rows: list[Row], top: int) -> None:
    labels, scores, cards, days, _ = columns(rows)
    found: set[int] = set()
    shares = []
    for day in sorted(set(days)):
        today = {row[2] for row in rows if row[3] == day} - found
        suspects = sorted(today, key=lambda c: (-max(scores[(cards == c) & (days == day)]), c))[:top]
        caught = {card for card in suspects if labels[(cards == card) & (days == day)].any()}
        found |= caught
        shares.append(len(caught) / top)
    assert metrics.card_precision(labels, scores, cards, days, top) == pytest.approx(np.mean(shares))


def test_card_precision_takes_texts_and_dates() -> None:
    days = np.array(["2026-01-02", "2026-01-01"], dtype="datetime64[D]")
    assert metrics.card_precision([True, True], [0.9, 0.8], np.array(["a", "a"]), days, top=1) == 0.5


@given(ROWS, st.integers(0, 5), st.integers(0, 3))
def test_money_saved_is_the_mean_over_all_choices_at_a_tie(rows: list[Row], capacity: int, cost: int) -> None:
    expected = Fraction(0)
    for day in {row[3] for row in rows}:
        today = [row for row in rows if row[3] == day]
        size = min(capacity, len(today))
        choices = [
            chosen
            for chosen in combinations(range(len(today)), size)
            if all(today[i][1] >= today[j][1] for i in chosen for j in set(range(len(today))) - set(chosen))
        ]
        saved = sum(sum(int(today[i][4]) * today[i][0] - cost for i in chosen) for chosen in choices)
        expected += Fraction(saved, len(choices))
    labels, scores, _, days, amounts = columns(rows)
    assert metrics.money_saved(labels, scores, days, amounts, capacity, cost) == pytest.approx(float(expected))


def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_rows() -> None:
    labels = [False, False, True, False, True, True, True, False]
    scores = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
    by_hand = (abs(0 - 0.3) + abs(1 - 0.7) + abs(2 - 1.3) + abs(1 - 1.7)) / 8
    assert metrics.calibration_error(labels, scores, bins=4) == pytest.approx(by_hand)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 20))
def test_bins_hold_equally_many_rows_in_order_of_score(labels: list[bool], bins: int) -> None:
    scores = np.linspace(0.2, 0.8, len(labels))
    bin_of = np.array([row * bins // len(labels) for row in range(len(labels))])
    assert np.ptp(np.bincount(bin_of, minlength=bins)) <= 1
    gaps = [abs(sum(labels[row] - scores[row] for row in np.flatnonzero(bin_of == n))) for n in range(bins)]
    assert metrics.calibration_error(labels, scores, bins) == pytest.approx(sum(gaps) / len(labels))


def test_calibrated_probabilities_have_a_small_calibration_error_and_shifted_ones_have_not() -> None:
    generator = np.random.default_rng(0)
    chances = generator.beta(0.3, 6, 50_000)
    labels = generator.random(50_000) < chances
    assert metrics.calibration_error(labels, chances) < 0.005
    assert metrics.calibration_error(labels, np.minimum(chances + 0.1, 1)) == pytest.approx(0.1, abs=0.01)


def test_a_constant_score_has_the_prevalence_as_average_precision() -> None:
    labels = np.arange(50) % 10 == 0
    assert metrics.average_precision(labels, np.zeros(50)) == pytest.approx(0.1)
    assert metrics.auc_roc(labels, np.zeros(50)) == 0.5
    assert metrics.calibration_error(labels, np.full(50, 0.1)) == pytest.approx(0)


def test_undefined_metrics_are_none_and_never_a_made_up_number() -> None:
    review = Review(threshold=0.5, capacity=2, cost=1.0)
    found = metrics.evaluate([0, 0], [-1.0, 7.0], [1, 2], [1, 1], [10.0, 20.0], review)
    assert [name for name, value in found.items() if value is None] == [
        "auc_roc", "average_precision", "calibration_error",
    ]  # fmt: skip
    assert found["money_saved"] == -2


SCORED: list[tuple[Callable[..., Any], list[Any]]] = [
    (metrics.auc_roc, []),
    (metrics.average_precision, []),
    (metrics.at_threshold, [0.5]),
    (metrics.card_precision, [[1, 2, 3], [1, 1, 1]]),
    (metrics.calibration_error, []),
    (metrics.money_saved, [[1, 1, 1], [5.0, 5.0, 5.0], 1, 0.0]),
]


@pytest.mark.parametrize(("metric", "more"), SCORED)
def test_unusable_scores_and_labels_are_refused(metric: Callable[..., Any], more: list[Any]) -> None:
    with pytest.raises(ValueError, match="expected finite numbers, found NaN or infinity in 1 of 3 rows; look at"):
        metric([True, False, True], [0.1, float("nan"), 0.3], *more)
    with pytest.raises(ValueError, match="expected 3 values, one per row, found shape"):
        metric([True, False, True], [0.1, 0.2], *more)
    with pytest.raises(ValueError, match="labels: expected one true/false per row"):
        metric([1, 0, 2], [0.1, 0.2, 0.3], *more)


@pytest.mark.parametrize("metric", [metrics.auc_roc, metrics.average_precision])
@pytest.mark.parametrize("label", [True, False])
def test_rankings_without_both_classes_are_refused(metric: Callable[..., float], label: bool) -> None:
    with pytest.raises(ValueError, match="expected positives and negatives, found"):
        metric([label, label], [0.1, 0.2])


@pytest.mark.parametrize("cards", [[1, None, 2], [1.0, np.nan, 2.0], [1, 2]])
def test_cards_that_are_null_or_missing_are_refused(cards: list[Any]) -> None:
    with pytest.raises(ValueError, match="entities: expected 3 values without nulls"):
        metrics.card_precision([True, False, True], [0.1, 0.2, 0.3], cards, [1, 1, 1])


def test_values_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected probabilities in"):
        metrics.calibration_error([True, False], [1.5, 0.2])
    with pytest.raises(ValueError, match="expected a capacity >= 0"):
        metrics.money_saved([True], [0.5], [1], [9.0], capacity=-1, cost=0)
    with pytest.raises(ValueError, match="expected rows and top >= 1"):
        metrics.card_precision([], [], [], [])
