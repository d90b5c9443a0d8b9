"""Numbers and classes from a training set to the first champion: who is best, what is refused, and in which words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds.deliveries import ARRIVALS, DAY, DELAYS
from worlds.delivery_rows import AS_OF, put, since, table

from jobs.checks import decisions
from jobs.errors import Invalid
from jobs.evaluation import explain
from jobs.evaluation.evaluate import ContenderVersion
from jobs.objective import AVERAGE_PRECISION, cost_matrix, pinball
from jobs.problem import Family, Groups, Problem, Review, ReviewQueue, Rule
from jobs.promotion import first_champion
from jobs.promotion.first_champion import FirstChoice
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.tasks.intervals import Interval
from jobs.training import candidate, train
from jobs.use_case import Column, UseCase, problem_of


def with_problem(use_case: UseCase, **changes: Any) -> UseCase:
    return replace(use_case, problem=replace(problem_of(use_case), **changes))


def replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def trained(settings: Settings, use_case: UseCase, rows: pa.Table, folder: Path) -> tuple[FirstChoice, Bundle]:
    lakehouse = put(settings, use_case, rows)
    data, _ = candidate.input_of(lakehouse, use_case)
    made = train.train(settings, use_case, data, folder / "candidate")
    return first_champion.choose(lakehouse, use_case, (ContenderVersion(1, made.bundle), None), AS_OF), made.bundle


def test_the_best_prediction_of_a_number_is_served_with_an_interval(home: Settings, tmp_path: Path) -> None:
    choice, bundle = trained(home, DELAYS, table(DELAYS), tmp_path)
    assert choice.verdict.promoted and not choice.provisional and choice.version == 1
    compared = choice.verdict.evidence["metrics"]
    assert {"version 1", "rule last_mean", "linear regression"} <= compared.keys()
    errors = {name: values["mean_absolute_error"] for name, values in compared.items()}
    assert min(errors, key=errors.__getitem__) == "version 1" and bundle.manifest.family == "boosted"
    assert "mean absolute error" in choice.verdict.evidence["checks"]["better_than_median"]["said"]
    interval = Interval.of_stored(bundle.manifest.interval)
    assert interval is not None and interval.level == 0.9 and len(interval.below) > 1


def test_the_best_probabilities_of_classes_are_served(home: Settings, tmp_path: Path) -> None:
    far = Rule("far", cases=((("distance", ">", 120.0), "late"),), otherwise="in_time")
    choice, bundle = trained(home, with_problem(ARRIVALS, rules=(far,)), table(ARRIVALS), tmp_path)
    assert "rule far" in choice.verdict.evidence["metrics"]
    assert choice.verdict.promoted and bundle.manifest.learned.classes == ("early", "in_time", "late")
    assert choice.verdict.evidence["checks"]["better_than_prior"]["outcome"] == "passed"


def test_a_class_that_appears_later_counts_against_everybody_alike(home: Settings, tmp_path: Path) -> None:
    rows = table(ARRIVALS)
    lost = np.where(
        since(rows, 15 * DAY).to_numpy(zero_copy_only=False) & (np.arange(rows.num_rows) % 9 == 0), "lost", rows["came"]
    )
    choice, bundle = trained(home, ARRIVALS, replaced(rows, "came", lost.tolist()), tmp_path)
    # The judged rows have it, the rows that were learned from do not: its probability is next to nothing.
    assert choice.bundle is not None and "lost" in lost.tolist()
    assert choice.verdict.evidence["metrics"]["version 1"]["log_loss"] > 0.5
    assert (
        all("lost" not in reason for reason in choice.verdict.reasons) and bundle.manifest.learned.name == "multiclass"
    )


@pytest.mark.parametrize(
    ("use_case", "objective"),
    [
        (DELAYS, pinball(0.8)),
        (
            ARRIVALS,
            cost_matrix({"late": {"in_time": 5.0, "early": 9.0}, "in_time": {"late": 1.0}, "early": {"late": 1.0}}),
        ),
    ],
)
def test_another_objective_decides_who_is_best(
    home: Settings, tmp_path: Path, use_case: UseCase, objective: Any
) -> None:
    choice, bundle = trained(home, with_problem(use_case, objective=objective), table(use_case), tmp_path)
    assert choice.verdict.promoted and choice.verdict.evidence["objective"] == objective.name
    assert bundle.manifest.learned.objective == objective


@pytest.mark.parametrize(
    ("use_case", "values", "said"),
    [
        (DELAYS, lambda n: np.where(np.arange(n) == 7, np.inf, 1.0 + np.arange(n)), "finite numbers as labels"),
        (DELAYS, lambda n: np.full(n, 4.5), "expected labels that differ, found 4.5 for all"),
        (ARRIVALS, lambda n: ["late"] * n, "expected labels of two classes or more, found only 'late'"),
        (DELAYS, lambda n: ["soon"] * n, "expected numbers as labels of a regression, found"),
        (ARRIVALS, lambda n: np.arange(n) / 3, "expected classes as text or integers, found double"),
        (ARRIVALS, lambda n: [f"order {k}" for k in range(n)], "expected at most 100 classes"),
    ],
)  # fmt: skip
def test_labels_that_teach_nothing_are_refused_in_one_line(
    home: Settings, use_case: UseCase, values: Any, said: str
) -> None:
    rows = table(use_case)
    lakehouse = put(home, use_case, replaced(rows, use_case.label, values(rows.num_rows)))
    with pytest.raises(Invalid, match=said) as refused:
        candidate.make(lakehouse, use_case)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.zeros, "expected a row above 0, found none"),
        (lambda n: np.where(np.arange(n) == 3, -1.0, 1.0), "finite numbers of 0 or more, found -1 and 0 more"),
        (lambda n: np.where(np.arange(n) == 3, np.nan, 1.0), "found nan and 0 more"),
        (lambda n: ["much"] * n, "expected numbers, found string"),
    ],
)
def test_weights_that_weigh_nothing_are_refused(home: Settings, weights: Any, said: str) -> None:
    rows = table(DELAYS)
    lakehouse = put(home, DELAYS, rows.append_column("counts", pa.array(weights(rows.num_rows))))
    with pytest.raises(Invalid, match=said):
        candidate.input_of(lakehouse, with_problem(DELAYS, weight="counts"))


def test_rows_of_weight_zero_are_as_if_they_were_not_there(home: Settings, tmp_path: Path) -> None:
    rows, use_case = table(DELAYS), with_problem(DELAYS, weight="counts")
    counts = pa.array((np.arange(rows.num_rows) % 2).astype(float))
    weighed = rows.append_column("counts", counts)
    spoilt = np.where(np.arange(rows.num_rows) % 2 == 0, 1e6, rows["hours"])
    _, clean = trained(home, use_case, weighed.filter(pa.array(np.arange(rows.num_rows) % 2 == 1)), tmp_path / "clean")
    _, other = trained(home, use_case, replaced(weighed, "hours", spoilt), tmp_path / "spoilt")
    assert clean.manifest.files["model.onnx"] == other.manifest.files["model.onnx"]


BOOSTED = (Family("boosted"),)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "ranking"}, "task: expected one of .* found 'ranking'"),
        ({"task": "regression", "families": (Family("logistic"),)}, "tabular_mlp, value, found logistic"),
        ({"task": "regression", "objective": AVERAGE_PRECISION}, "an objective among mean_absolute_error, pinball"),
        ({"task": "regression", "review": Review(0.5, 10, 1.0)}, "a queue instead of a review"),
        ({"queue": ReviewQueue(5)}, "a review instead of a queue"),
        ({"task": "multiclass", "queue": ReviewQueue(5, "cost")}, "a cost matrix as the objective of a queue by cost"),
        ({"task": "multiclass", "queue": ReviewQueue(5, "largest")}, "as classes have no largest"),
        ({"task": "regression", "families": (Family("boosted", negative_rate=0.1),)}, "families trained on all rows"),
        ({"task": "regression", "fairness": (Groups("far", "distance", edges=(9,)),)}, "no fairness groups"),
        ({"task": "regression", "unlabelled": float("inf")}, "a finite number"),
        ({"task": "regression", "interval": 1.0}, "an interval of 0.5 to 1, found 1.0"),
        ({"task": "multiclass", "rules": (Rule("a", ("b",)),)}, "rules of cases, as no feature ranks classes"),
        ({"task": "regression", "rules": (Rule("a", cases=((("b", ">", 1), "x"),), otherwise=1.0),)}, "finite numbers"),
        ({"rules": (Rule("a", cases=((("b", ">", 1), 1.0),), otherwise=1.0),)}, "rules that rank rows, without cases"),
        ({"task": "multiclass", "unlabelled": 3.0}, "a class as text"),
        ({"unlabelled": 0.0}, "no label for unlabelled events"),
    ],
)  # fmt: skip
def test_what_a_task_does_not_know_is_refused_when_it_is_declared(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        Problem(**{"families": BOOSTED, **changes})


@pytest.mark.parametrize(
    ("use_case", "kind"), [(DELAYS, "string"), (DELAYS, "boolean"), (ARRIVALS, "number"), (ARRIVALS, "timestamp")]
)
def test_a_label_of_the_wrong_kind_is_refused_when_it_is_declared(use_case: UseCase, kind: Any) -> None:
    orders, arrivals = use_case.sources
    columns = tuple(Column(c.name, kind) if c.name == use_case.label else c for c in arrivals.columns)
    with pytest.raises(Invalid, match=f"expected the label {use_case.label} to be of kind .* found {kind}"):
        replace(use_case, sources=(orders, replace(arrivals, columns=columns)))


def test_a_feature_that_is_the_label_in_disguise_stops_the_champion(home: Settings, tmp_path: Path) -> None:
    for use_case, disguised in (
        (DELAYS, lambda rows: rows["hours"].to_numpy() * 60 + 5),
        (ARRIVALS, lambda rows: np.unique(rows["came"].to_pylist(), return_inverse=True)[1] * 1.0),
    ):
        rows = table(use_case)
        choice, _ = trained(home, use_case, replaced(rows, "weight", disguised(rows)), tmp_path / use_case.name)
        assert choice.verdict.evidence["checks"]["leak"]["outcome"] == "failed"
        assert "weight alone has a" in choice.verdict.evidence["checks"]["leak"]["said"]


@pytest.mark.parametrize("use_case", [DELAYS, ARRIVALS], ids=["regression", "multiclass"])
@pytest.mark.parametrize("place", [0, 1], ids=["plain", "boosted"])
def test_what_features_add_adds_up_to_what_is_served(
    home: Settings, tmp_path: Path, use_case: UseCase, place: int
) -> None:
    family = problem_of(use_case).families[place]
    data, _ = candidate.input_of(put(home, use_case, table(use_case)), with_problem(use_case, families=(family,)))
    made = train.train(home, with_problem(use_case, families=(family,)), data, tmp_path / "made")
    rows = data.rows.examples.features[-300:]
    found = explain.attribute(made.bundle, rows[:40], rows)
    assert found.largest_difference is not None and found.largest_difference <= explain.TOLERANCE
    assert decisions.adds_up(found).passed and found.values.shape == (40, len(made.bundle.manifest.names))
    if use_case is DELAYS:
        assert next(iter(found.importance)) == "distance"
        np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.scores, rtol=1e-3)
