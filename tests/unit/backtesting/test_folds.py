"""A backtest's test-set rule against the handbook's own loop, its sampling, its search, and what it refuses."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from worlds import delivery_rows
from worlds.deliveries import ARRIVALS, DELAYS, FIRST, orders
from worlds.examples import with_examples

from jobs.backtesting import fold_rows, folds
from jobs.backtesting.fold_days import BacktestError, Fold
from jobs.backtesting.fold_rows import in_test_set
from jobs.backtesting.fold_search import FoldWindow, searched
from jobs.datasets.training_rows import sampled
from jobs.lakehouse.tables import Lakehouse
from jobs.models.protocol import Examples
from jobs.objective import Objective, cost_matrix, pinball
from jobs.problem import Family, Range
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of
from orchestration.cli import main

START = date(2018, 7, 25)
payments = st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 14), st.booleans()), max_size=60)
some_folds = st.builds(Fold, st.just(START), st.integers(1, 4), st.integers(0, 4), st.integers(1, 4))


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


@given(payments, some_folds)
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


DELIVERED = Fold((FIRST + 80 * DAY).date(), delay_days=5)


def delivered(home: Settings, use_case: UseCase) -> Lakehouse:
    lakehouse = delivery_rows.put(home, use_case, delivery_rows.table(use_case))
    delivery_rows.put_marts(home, use_case)
    return lakehouse


@pytest.mark.parametrize("use_case", [DELAYS, ARRIVALS], ids=["regression", "multiclass"])
def test_a_fold_about_numbers_or_classes_is_measured_by_their_metrics(home: Settings, use_case: UseCase) -> None:
    lakehouse = delivered(home, use_case)
    result = folds.run(lakehouse, use_case, DELIVERED, ("boosted",))
    rows = orders().rename(str.lower).with_columns(day=pl.col("left_at").dt.date())
    tested = rows.filter(pl.col("day").is_between(DELIVERED.test_from, DELIVERED.test_until))
    assert result["test_rows"] == tested.height and "test_frauds" not in result and "cards" not in result
    known = rows.filter(pl.col("arrived_at") <= DELIVERED.moment)
    assert result["train_rows"] == known.height
    if use_case is DELAYS:
        by_median = np.abs(tested["hours"].to_numpy() - np.median(known["hours"].to_numpy())).mean()
        assert result["objective"] == "mean_absolute_error" and result["mean_absolute_error"] < 0.5 * by_median
    else:
        shares = known["came"].value_counts(normalize=True)
        chances = tested.join(shares, on="came")["proportion"]
        assert result["objective"] == "log_loss" and result["log_loss"] < -np.log(chances.to_numpy()).mean()
    plain = "linear" if use_case is DELAYS else "logistic"
    best = folds.run(lakehouse, use_case, DELIVERED, (plain, "boosted"))
    assert best["family"] in (plain, "boosted") and best["test_rows"] == tested.height


def test_a_declared_objective_label_of_silence_and_weight_are_what_a_fold_goes_by(home: Settings) -> None:
    lakehouse = delivered(home, DELAYS)

    def declared(objective: Objective) -> UseCase:
        problem = replace(problem_of(DELAYS), objective=objective, weight="distance", unlabelled=-1.0)
        return replace(DELAYS, problem=problem, label_maturity=timedelta(hours=3))

    asked = declared(pinball(0.9))
    known = fold_rows.known_rows(lakehouse, asked, fold_rows.rows_of(lakehouse, asked, DELIVERED), DELIVERED)
    late = orders().filter(
        (pl.col("LEFT_AT") <= DELIVERED.moment - timedelta(hours=3)) & (pl.col("ARRIVED_AT") > DELIVERED.moment)
    )
    silent = known.filter(pl.col(fold_rows.KNOWN) == -1.0)
    assert silent.height > 0 and silent["order_id"].sort().to_list() == late["ORDER_ID"].sort().to_list()
    found = folds.run(lakehouse, asked, DELIVERED, ("linear",))
    test = fold_rows.test_rows(fold_rows.rows_of(lakehouse, asked, DELIVERED), asked, problem_of(asked), DELIVERED)
    high = folds.fold_metrics(test, test["hours"].to_numpy() + 1.0, asked, problem_of(asked))
    assert high["pinball"] == pytest.approx(0.1) and high["bias"] == pytest.approx(1.0)
    assert found["objective"] == "pinball" and 0 < found["pinball"] < found["mean_absolute_error"]


def test_a_class_that_training_rows_lack_costs_what_it_is_worth(home: Settings) -> None:
    lakehouse = delivered(home, ARRIVALS)
    costs = cost_matrix({"late": {"early": 1.0, "in_time": 1.0}})
    asked = replace(ARRIVALS, problem=replace(problem_of(ARRIVALS), objective=costs))
    rows = fold_rows.rows_of(lakehouse, asked, DELIVERED)
    test = fold_rows.test_rows(rows, asked, problem_of(asked), DELIVERED)
    blind = np.tile([0.5, 0.0, 0.5], (test.height, 1))
    found = folds.fold_metrics(test, blind, asked, problem_of(asked), ("early", "late"))
    assert found["cost"] == 0.0, "late costs most if it is missed, so that everything is decided to be late"
    never = np.tile([0.5, 0.5, 0.0], (test.height, 1))
    missed = folds.fold_metrics(test, never, asked, problem_of(asked), ("early", "in_time"))
    assert missed["cost"] == pytest.approx((test["came"] == "late").mean())


def test_labels_that_do_not_differ_are_refused(home: Settings) -> None:
    lakehouse = delivered(home, DELAYS)
    always = delivery_rows.table(DELAYS)
    always = always.set_column(always.column_names.index("hours"), "hours", [[4.0] * always.num_rows])
    delivery_rows.put(home, DELAYS, always)
    with pytest.raises(BacktestError, match="expected labels that differ, found 4 for all"):
        folds.run(lakehouse, DELAYS, DELIVERED)
