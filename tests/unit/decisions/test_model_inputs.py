"""A row of one event as a model's inputs, and what follows from its score: bit for bit as nightly scoring has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.model_inputs import ModelInputs
from jobs.decisions.outcome import Policy
from jobs.errors import Invalid
from jobs.models.runtime import feeds
from jobs.objective import OBJECTIVES, Objective
from jobs.online.column_type import ColumnType
from jobs.registry.bundle import CATEGORY, NUMBER, Manifest
from jobs.scoring.decided_columns import DecidedColumns
from jobs.scoring.scoring_kernel import features as kernel_features
from jobs.tasks.intervals import Interval
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.use_case import Column, UseCase
from jobs.use_cases.fraud import FRAUD, PROBLEM

pytestmark = pytest.mark.embedded
TIME = pa.timestamp("us", "UTC")
SOURCE = replace(
    FRAUD.sources[0],
    columns=(
        *FRAUD.sources[0].columns,
        Column("shop", "category", nullable=True),
        Column("note", "text", nullable=True),
        Column("picture", "vector", nullable=True, length=3),
        Column("opened_at", "timestamp", nullable=True),
        Column("is_new", "boolean", nullable=True),
    ),
)
CASE: UseCase = replace(
    FRAUD, sources=(SOURCE, *FRAUD.sources[1:]), windows=FRAUD.windows[:1],
    request_features=FRAUD.request_features[:1],
    problem=replace(PROBLEM, inputs=("tx_amount", "shop", "note", "picture", "opened_at", "is_new"), slices=(),
                    baseline_features=(), rules=()),
)  # fmt: skip
EVENTS = pa.schema(
    {"transaction_id": pa.int64(), "tx_datetime": TIME, "customer_id": pa.int64(), "terminal_id": pa.int64(),
     "tx_amount": pa.float64(), "shop": pa.string(), "note": pa.string(), "picture": pa.string(), "opened_at": TIME,
     "is_new": pa.bool_()}
)  # fmt: skip
FEATURES = (
    ("tx_amount", NUMBER), ("shop", CATEGORY), ("picture[0]", NUMBER), ("picture[1]", NUMBER), ("picture[2]", NUMBER),
    ("note[words]", CATEGORY), ("is_new", NUMBER), ("opened_at_age", NUMBER), ("customer_tx_count_1d", NUMBER),
    ("hour_of_day", NUMBER),
)  # fmt: skip
ROWS = FeatureRow.of(CASE, EVENTS, {"is_fraud": ColumnType("bool")})
WIDTH = len(CASE.windows[0].names)


def manifest(**more: Any) -> Manifest:
    return Manifest("fraud", "boosted", FEATURES, 0.5, "2026-03-01T00:00:00+00:00", {}, **more)


def values(chance: Random) -> dict[str, Any]:
    return {
        "customer_id": 1, "terminal_id": 2, "tx_amount": chance.choice([0.1, 1e-300, 3.4e37, 16777217.0]),
        "shop": chance.choice(["corner", "", None, "Kiosk é"]), "note": chance.choice(["two words", None, "x" * 2000]),
        "picture": chance.choice([[0.1, 2.0, -3.5], None]), "is_new": chance.choice([True, False, None]),
        "opened_at": chance.choice([None, 1_700_000_000_000_000, 1_900_000_000_000_000]),
    }  # fmt: skip


def nightly(row: Mapping[str, Any]) -> Any:
    """The inputs that the scoring kernel makes of the same row as tables have it."""
    columns: dict[str, pa.Array] = {}
    for name, kind in manifest().columns.items():
        value = row[name]
        value = json.dumps(value) if isinstance(value, list) else value
        if kind == NUMBER:
            columns[name] = pa.array([None if value is None else float(value)], pa.float64()).cast(pa.float32())
        else:
            columns[name] = pa.array([value], pa.string())
    return feeds(kernel_features(pa.RecordBatch.from_pydict(columns), manifest().names))


@pytest.mark.parametrize("seed", range(30))
def test_inputs_are_those_of_nightly_scoring(seed: int) -> None:
    chance, happened = Random(seed), 1_800_000_000_123_456
    windows = [[chance.choice([None, 5, 0.1 + chance.random()]) for _ in range(WIDTH)]]
    row = ROWS.row(values(chance), happened, windows)
    mine, its = ModelInputs.of(manifest(), ROWS).feeds(row), nightly(dict(zip(ROWS.names, row, strict=True)))
    assert mine.keys() == its.keys()
    for name, array in mine.items():
        assert array.shape == its[name].shape
        if array.dtype == object:
            assert array.tolist() == its[name].tolist()
        else:
            assert array.tobytes() == its[name].tobytes() or np.array_equal(array, its[name], equal_nan=True)


def test_a_number_beyond_float32_and_an_unknown_feature_are_refused() -> None:
    row = ROWS.row(values(Random(0)) | {"tx_amount": 1e300}, 0, [[None] * WIDTH])
    with pytest.raises(Invalid, match=r"features \['tx_amount'\]: expected numbers that float32 holds"):
        ModelInputs.of(manifest(), ROWS).feeds(row)
    with pytest.raises(Invalid, match=r"found \['colour'\]; declare them"):
        ModelInputs.of(replace(manifest(), features=(("colour", NUMBER),)), ROWS)


@pytest.mark.parametrize("score", [0.0, 0.49999997, 0.5, 0.50000006, 0.89999998, 0.9, 1.0])
def test_verdicts_follow_the_thresholds_as_nightly_decisions_do(score: float) -> None:
    scores = np.array([score], np.float32)
    outcome = Policy(manifest(block=0.9)).outcome(scores)
    nightly_score, decision = (column[0].as_py() for column in DecidedColumns("binary", 0.5).of(scores))
    assert outcome.score == nightly_score and (outcome.decision != "approve") is decision
    assert (outcome.decision == "block") is bool(scores[0] >= np.float32(0.9))
    assert Policy(manifest()).outcome(scores).decision == ("review" if decision else "approve")


def test_classes_and_numbers_come_as_nightly_columns_have_them() -> None:
    task = Multiclass(Objective(OBJECTIVES["multiclass"][0]), ("a", "b", "c")).stored()
    scores = np.array([[0.2, 0.5, 0.3]], np.float32)
    outcome = Policy(manifest(task=task)).outcome(scores)
    score, decision, prediction, texts = (
        c[0].as_py() for c in DecidedColumns("multiclass", 0.5, ("a", "b", "c")).of(scores)
    )
    assert (outcome.score, outcome.decision, outcome.prediction) == (score, decision, prediction)
    assert {n: np.float32(p) for n, p in (outcome.probabilities or {}).items()} == {
        n: np.float32(p) for n, p in json.loads(texts).items()
    }
    interval = Interval(0.9, np.array([1.0]), np.array([0.1, 0.2]), np.array([0.3, 0.4]))
    number = np.array([1.7], np.float32)
    learned = Regression(Objective(OBJECTIVES["regression"][0])).stored()
    outcome = Policy(manifest(task=learned, interval=interval.stored())).outcome(number)
    found = [c[0].as_py() for c in DecidedColumns("regression", 0.5, (), interval).of(number)]
    assert [outcome.score, outcome.decision, outcome.lower, outcome.upper] == found
