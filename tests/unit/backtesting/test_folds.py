"""A backtest's test-set rule against the handbook's own loop, its sampling, its search, and what it refuses."""

from datetime import date, timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.backtesting.fold_search import FoldWindow, searched
from jobs.backtesting.folds import BacktestError, Fold, in_test_set
from jobs.datasets.training_rows import sampled
from jobs.models.protocol import Examples
from jobs.problem import Family, Range
from orchestration.cli import main

START = date(2018, 7, 25)
payments = st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 14), st.booleans()), max_size=60)
folds = st.builds(Fold, st.just(START), st.integers(1, 4), st.integers(0, 4), st.integers(1, 4))


def handbook(rows: list[tuple[int, int, bool]], fold: Fold) -> list[bool]:
    """`get_train_test_set` of the Fraud Detection Handbook, day by day; days count from the train week's first."""
    compromised = {card for card, day, fraud in rows if fraud and 0 <= day < fold.train_days}
    kept = [False] * len(rows)
    for number in range(fold.test_days):
        known = fold.train_days + number - 1
        compromised |= {card for card, day, fraud in rows if fraud and day == known}
        today = fold.train_days + fold.delay_days + number
        for row, (card, day, _) in enumerate(rows):
            kept[row] = kept[row] or (day == today and card not in compromised)
    return kept


@given(payments, folds)
@with_examples(300)
def test_the_test_set_is_the_handbooks(rows: list[tuple[int, int, bool]], fold: Fold) -> None:
    cards = np.array([f"card {card}" for card, _, _ in rows], object)
    days = np.array([START + timedelta(days=day) for _, day, _ in rows], "datetime64[D]")
    frauds = np.array([fraud for *_, fraud in rows], bool)
    assert in_test_set(cards, days, frauds, fold).tolist() == handbook(rows, fold)


def test_dates_of_a_published_fold() -> None:
    fold = Fold(START)
    assert (fold.test_from, fold.test_until) == (date(2018, 8, 8), date(2018, 8, 14))
    assert fold.moment.isoformat() == "2018-08-08T00:00:00+00:00"


def examples(rows: int = 400, seed: int = 0) -> Examples:
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(rows, 2)).astype(np.float32)
    labels = features[:, 0] + chance.normal(size=rows) > 1.5
    return Examples(features, labels, None, ("signal", "noise"))


def test_negatives_that_are_drawn_stand_for_all_of_them() -> None:
    everything = examples()
    drawn = sampled(everything, 0.25, seed=1)
    assert drawn.labels.sum() == everything.labels.sum() and len(drawn) < len(everything) / 2
    assert drawn.weights is not None and np.all(drawn.weights[drawn.labels] == 1)
    assert drawn.weights[~drawn.labels].sum() == pytest.approx((~everything.labels).sum(), rel=1e-5)
    assert sampled(everything, 1.0, seed=1) is everything


DAY = timedelta(days=1)
BOOSTED = Family("boosted", fixed={"rounds": 20, "num_leaves": 4}, search={"learning_rate": Range(0.01, 0.3, log=True)})


def search(
    families: tuple[Family, ...], trials: int, known: Examples | None = None
) -> tuple[Family, dict[str, object]]:
    known = known or examples()
    times = np.arange(len(known)) * 86_400_000_000
    family, parameters = searched(families, known, FoldWindow(times, 100 * DAY, 7 * DAY), trials, seed=0)
    return family, dict(parameters)


def test_one_family_without_trials_is_taken_as_declared() -> None:
    assert search((BOOSTED,), 0) == (BOOSTED, {"rounds": 20, "num_leaves": 4})


def test_of_several_families_the_better_on_the_latest_known_rows_is_taken() -> None:
    stump = Family("boosted", fixed={"rounds": 1, "num_leaves": 2, "min_data_in_leaf": 150})
    family, _ = search((stump, Family("logistic")), 0)
    assert family.name == "logistic"


def test_trials_repeat_and_stay_in_their_range() -> None:
    family, parameters = search((BOOSTED,), 3)
    assert family is BOOSTED and parameters["num_leaves"] == 4
    assert 0.01 <= float(str(parameters["learning_rate"])) <= 0.3
    assert 1 <= int(str(parameters["rounds"])) <= 20
    assert (family, parameters) == search((BOOSTED,), 3)


def test_a_search_without_positives_to_validate_on_is_refused() -> None:
    known = examples()
    early = Examples(known.features, known.labels & (np.arange(len(known)) < 100), None, known.names)
    with pytest.raises(ValueError, match="needs positives among the last 100 known days"):
        search((BOOSTED,), 1, early)


def test_a_fold_needs_days() -> None:
    with pytest.raises(BacktestError, match="at least one train day and one test day"):
        Fold(START, train_days=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--train-from"),
        (["--transactions", "nowhere.parquet"], "does not exist"),
        (["--transactions", __file__, "--train-from", "yesterday", "--out", "x.json"], "yesterday"),
        (["--transactions", __file__, "--train-from", "2018-07-25", "--test-days", "0", "--out", "x.json"], "1<=x"),
        (["--transactions", __file__, "--train-from", "2018-07-25"], "--out"),
        (["--use-case", "weather", "--transactions", __file__, "--train-from", "2018-07-25", "--out", "x"], "weather"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["backtest", *arguments])
    assert result.exit_code != 0 and said in result.output and "Traceback" not in result.output
