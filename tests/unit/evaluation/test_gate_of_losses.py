"""The gate by a loss: equal candidates hardly ever pass, better ones do, and its words say which way is better."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.evaluation.gate import judge
from jobs.evaluation.paired_comparison import ComparedRows, Contender
from jobs.limits import Limits
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

ROWS, BLOCKS = 1_500, 200
LIMITS = Limits(training_noise=0.0)
MEASURED: dict[str, Any] = {"latency_ms": 1.0, "size_bytes": 1.0, "parity_error": 0.0}
NUMBER, CLASSES = Regression(MEAN_ABSOLUTE_ERROR), Multiclass(LOG_LOSS, ("a", "b", "c"))


def world(task: Task, seed: int, gain: float = 0.0) -> tuple[Contender, Contender, Contender, ComparedRows]:
    """Candidate and champion whose errors are alike but for `gain`, a constant, and rows whose blocks share errors."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, BLOCKS, ROWS)
    number = random.normal(0, 2, ROWS)

    def predicted(error: float) -> np.ndarray:
        own = random.normal(0, 0.5, BLOCKS)[blocks] + random.normal(0, 1, ROWS)
        return number + error * own

    scores = [predicted(1.0 - gain), predicted(1.0), np.zeros(ROWS)]
    labels: Any = number
    if isinstance(task, Multiclass):
        labels = np.digitize(number, (-1, 1))
        centres = np.array([-2.0, 0.0, 2.0])
        logits = [-np.square(each[:, None] - centres) / 2 for each in scores]
        scores = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in logits]
    near = {"near": np.abs(number) < 1}
    rows = ComparedRows(labels, blocks, near, task=task)
    candidate, champion, constant = (
        Contender(n, s) for n, s in zip(("candidate", "champion", "constant"), scores, strict=True)
    )
    return replace(candidate, **MEASURED), champion, constant, rows


@pytest.mark.parametrize("task", [NUMBER, CLASSES], ids=["regression", "multiclass"])
def test_of_equal_candidates_few_pass_and_of_better_ones_nearly_all(task: Task) -> None:
    def passed(seed: int, gain: float) -> bool:
        candidate, champion, constant, rows = world(task, seed, gain)
        return judge(candidate, champion, [constant], rows, LIMITS).promoted

    assert sum(passed(seed, 0.0) for seed in range(100)) <= 5
    assert sum(passed(seed, 0.15) for seed in range(20)) >= 18


def test_what_is_gained_is_said_the_right_way_round() -> None:
    candidate, champion, constant, rows = world(NUMBER, 3, 0.3)
    better = judge(candidate, champion, [constant], rows, LIMITS).checks
    said = {check.name: check for check in better}
    against = said["better_than_champion"]
    assert against.message.startswith("mean absolute error") and "gain +" in against.message
    assert against.numbers["candidate"] < against.numbers["rival"] and against.numbers["lower"] > 0
    assert against.numbers["difference"] == pytest.approx(against.numbers["rival"] - against.numbers["candidate"])
    worse = judge(replace(champion, **MEASURED), candidate, [constant], rows, LIMITS)
    assert not worse.promoted and "not better beyond noise" in worse.reasons[0]
    assert any("slice near is worse beyond noise" in reason for reason in worse.reasons)


def test_rows_count_as_their_weights_say() -> None:
    candidate, champion, _, rows = world(NUMBER, 4)
    half = np.arange(ROWS) < ROWS // 2
    good = np.where(half, candidate.scores, rows.labels + 5)
    weighed = replace(rows, weights=np.where(half, 1000.0, 1.0), slices={})
    alone = replace(rows, slices={})
    mixed = replace(candidate, scores=good)
    assert not judge(mixed, None, [champion], alone, LIMITS).promoted
    numbers = {c.name: c.numbers for c in judge(mixed, None, [champion], weighed, LIMITS).checks}
    error = np.average(np.abs(good - rows.labels), weights=weighed.weights)
    assert numbers["better_than_baselines"]["candidate"] == pytest.approx(error, rel=1e-4)
