"""Metrics of scores on labelled rows: pure functions of arrays, one value per row.

Whether a difference of two models is more than noise is decided in `jobs.evaluation.paired_comparison`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Bools, Floats, Ints, codes, ends_of_runs, starts_of_runs
from jobs.errors import Invalid
from jobs.problem import Review


@dataclass(frozen=True)
class AtThreshold:
    """Precision, recall and F1 of the rows whose score reaches a threshold; 0 where nothing can be divided by."""

    precision: float
    recall: float
    f1: float


def evaluate(
    labels: ArrayLike, scores: ArrayLike, entities: ArrayLike, days: ArrayLike, amounts: ArrayLike, review: Review
) -> Mapping[str, float | None]:
    """Every metric of this module by name; None where one is undefined: the rankings if all labels are alike, the
    calibration error of scores that are no probabilities, such as those of a rule.

    Raises:
        ValueError: as the single metrics do.
    """
    truth, values = checked(labels, scores)
    measured = dict(of_ranking(truth, values, review.threshold))
    calibration = measured.pop("calibration_error")
    return {
        **measured,
        f"card_precision_at_{review.cards}": card_precision(truth, values, entities, days, review.cards),
        "calibration_error": calibration,
        "money_saved": money_saved(truth, values, days, amounts, review.capacity, review.cost),
    }


def of_ranking(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> Mapping[str, float | None]:
    """The metrics that need labels and scores alone; None as in `evaluate`."""
    truth, values = checked(labels, scores)
    has_both_classes = 0 < truth.sum() < len(truth)
    probable = bool(((values >= 0) & (values <= 1)).all())
    at = at_threshold(truth, values, threshold)
    return {
        "auc_roc": auc_roc(truth, values) if has_both_classes else None,
        "average_precision": average_precision(truth, values) if has_both_classes else None,
        "precision": at.precision,
        "recall": at.recall,
        "f1": at.f1,
        "calibration_error": calibration_error(truth, values) if probable else None,
    }


def auc_roc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a positive scores above a negative, ties counting half: the Mann-Whitney statistic by midranks
    (Hanley & McNeil, Radiology 143, 1982).

    Raises:
        ValueError: labels or scores are unusable, or all labels are alike.
    """
    truth, values = _both_classes(*checked(labels, scores))
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    positives = int(truth.sum())
    above = midranks[place][truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(truth) - positives)))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Sum over the distinct scores, from the highest, of the gain in recall times the precision there.

    Rows of one score enter together, so that the order of rows does not matter (the definition that scikit-learn's
    `average_precision_score` documents; no interpolation, Davis & Goadrich, ICML 2006).

    Raises:
        ValueError: labels or scores are unusable, or all labels are alike.
    """
    truth, values = _both_classes(*checked(labels, scores))
    order = np.argsort(-values, kind="stable")
    ends = ends_of_runs(values[order])
    caught = np.cumsum(truth[order])[ends - 1]
    return float(np.sum(np.diff(caught, prepend=0) * caught / ends) / caught[-1])


def at_threshold(labels: ArrayLike, scores: ArrayLike, threshold: float) -> AtThreshold:
    """Precision, recall and F1 when every row with `score >= threshold` is an alert.

    Raises:
        ValueError: labels or scores are unusable.
    """
    truth, values = checked(labels, scores)
    alerts = values >= threshold
    caught, raised, positives = (int(n) for n in ((alerts & truth).sum(), alerts.sum(), truth.sum()))
    return AtThreshold(caught / max(raised, 1), caught / max(positives, 1), 2 * caught / max(raised + positives, 1))


def card_precision(labels: ArrayLike, scores: ArrayLike, entities: ArrayLike, days: ArrayLike, top: int = 100) -> float:
    """Mean over days of the share of fraudulent cards among the `top` cards of highest score.

    A card's score and label of a day are the largest of its rows. Cards found fraudulent among the `top` of an earlier
    day are left out; a day with fewer cards is still divided by `top` (Fraud Detection Handbook, chapter 4, "Precision
    top-k metrics"). Of cards with equal scores the smaller id comes first; the handbook leaves that open.

    Args:
        entities: card of each row, sortable and without nulls.
        days: day of each row, numbers or dates.

    Raises:
        ValueError: labels or scores are unusable, an array has another length, a card is null, or there is no row.
    """
    truth, values = checked(labels, scores)
    _, card = codes("entities", entities, len(truth))
    distinct_days, day = codes("days", days, len(truth))
    if not len(truth) or top < 1:
        raise Invalid(f"card precision: expected rows and top >= 1, found {len(truth)} rows and top {top}")
    is_known_card = np.zeros(card.max() + 1, dtype=bool)
    shares = []
    for today in range(len(distinct_days)):
        rows = (day == today) & ~is_known_card[card]
        caught = _caught_cards(truth[rows], values[rows], card[rows], top)
        is_known_card[caught] = True
        shares.append(len(caught) / top)
    return float(np.mean(shares))


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: mean over rows of |share of positives - mean probability| of the row's bin.

    Bins hold equally many rows (Naeini et al., AAAI 2015, with the equal-mass bins of Nixon et al., CVPR Workshops
    2019), as equally wide ones leave all rows of a rare event in one bin. Equal probabilities share a bin.

    Raises:
        ValueError: labels or probabilities are unusable, or a probability is outside [0, 1].
    """
    truth, values = checked(labels, probabilities)
    if not len(values) or values.min() < 0 or values.max() > 1:
        raise Invalid("calibration error: expected probabilities in [0, 1], found none or others; calibrate first")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    bin_of = (middle * bins / len(values)).astype(np.intp)[place]
    return float(np.abs(np.bincount(bin_of, weights=truth - values)).sum() / len(values))


def money_saved(
    labels: ArrayLike, scores: ArrayLike, days: ArrayLike, amounts: ArrayLike, capacity: int, cost: float
) -> float:
    """Amounts of the frauds among the `capacity` rows of highest score of each day, less `cost` for each of these rows.

    Of rows tied at the last place a random choice is reviewed: its expected value counts. In the money of `amounts`,
    over all days; that one caught fraud would stop the card's later ones is not counted.

    Raises:
        ValueError: labels, scores or amounts are unusable, an array has another length, or capacity is negative.
    """
    truth, values = checked(labels, scores)
    money = _finite("amounts", amounts, len(truth))
    reviewed = _reviewed("money saved", values, days, capacity)
    return float(np.sum(reviewed * (np.where(truth, money, 0.0) - cost)))


def precision_at(labels: ArrayLike, scores: ArrayLike, days: ArrayLike, capacity: int) -> float:
    """Share of positives among the `capacity` rows of highest score of each day; 0 if no row is reviewed.

    Of rows tied at the last place a random choice is reviewed: its expected value counts.

    Raises:
        ValueError: labels or scores are unusable, an array has another length, or capacity is negative.
    """
    truth, values = checked(labels, scores)
    reviewed = _reviewed("precision", values, days, capacity)
    return float(reviewed @ truth / max(reviewed.sum(), 1))


def reviewed(labels: ArrayLike, scores: ArrayLike, days: ArrayLike, capacity: int) -> Floats:
    """Chance of each row to be among the `capacity` rows of highest score of its day; ties share what is left.

    Raises:
        ValueError: labels or scores are unusable, an array has another length, or capacity is negative.
    """
    return _reviewed("recall", checked(labels, scores)[1], days, capacity)


def checked(labels: ArrayLike, scores: ArrayLike, name: str = "scores") -> tuple[Bools, Floats]:
    """Labels as booleans and scores as doubles, both of shape (rows,).

    Raises:
        ValueError: labels are not true/false (or 1/0), lengths differ, or a score is NaN or infinite.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or (values.dtype != np.bool_ and not np.isin(values, (0, 1)).all()):
        raise Invalid("labels: expected one true/false per row, found others; leave out rows without a mature label")
    return values.astype(np.bool_), _finite(name, scores, len(values))


def _finite(name: str, values: ArrayLike, rows: int) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (rows,):
        raise Invalid(f"{name}: expected {rows} values, one per row, found shape {numbers.shape}; align the arrays")
    if bad := int(np.count_nonzero(~np.isfinite(numbers))):
        raise Invalid(
            f"{name}: expected finite numbers, found NaN or infinity in {bad} of {rows} rows; "
            "look at the features of these rows and at the model, and score again"
        )
    return numbers


def _reviewed(what: str, scores: Floats, days: ArrayLike, capacity: int) -> Floats:
    """Chance of each row to be among the `capacity` highest scores of its day."""
    if capacity < 0:
        raise Invalid(f"{what}: expected a capacity >= 0 alerts a day, found {capacity}")
    _, day = codes("days", days, len(scores))
    order = np.lexsort((-scores, day))
    new_day = starts_of_runs(day[order])
    starts = np.flatnonzero(new_day | starts_of_runs(scores[order]))
    sizes = np.diff(starts, append=len(order))
    before = starts - np.maximum.accumulate(np.where(new_day[starts], starts, 0))
    reviewed = np.empty(len(order))
    reviewed[order] = np.repeat(np.clip((capacity - before) / sizes, 0, 1), sizes)
    return reviewed


def _both_classes(labels: Bools, scores: Floats) -> tuple[Bools, Floats]:
    if not 0 < labels.sum() < len(labels):
        raise Invalid(
            f"expected positives and negatives, found {int(labels.sum())} positives in {len(labels)} rows; "
            "take a longer period or wait for more mature labels"
        )
    return labels, scores


def _caught_cards(labels: Bools, scores: Floats, card: Ints, top: int) -> Ints:
    cards, place = np.unique(card, return_inverse=True)
    highest = np.full(len(cards), -np.inf)
    np.maximum.at(highest, place, scores)
    suspects = np.argsort(-highest, kind="stable")[:top]
    fraudulent = np.bincount(place, weights=labels, minlength=len(cards)) > 0
    return cards[suspects[fraudulent[suspects]]]
