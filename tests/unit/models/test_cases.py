"""Rules of cases: the first one that holds answers, as in a loop over the rows, and graphs answer alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.errors import Invalid
from jobs.models.cases import CaseModel, parameters_of
from jobs.models.catalog import load_model
from jobs.models.features import rows_of
from jobs.models.parity import check_parity
from jobs.models.protocol import Examples
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR
from jobs.problem import Rule
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

CLASSES = ("a", "b", "c")
CASES: tuple[Any, ...] = (
    ((("x", ">", 1.5), ("kind", "in", ("red", "blue"))), 0),
    (("kind", "!=", "red"), 1),
    ((("x", ">=", -0.5), ("x", "<", 0.5)), 2),
    (("x", "!=", 0.75), 0),
)


def answer(x: float, kind: str | None) -> int:
    if x > 1.5 and kind in ("red", "blue"):
        return 0
    if kind is not None and kind != "red":
        return 1
    if -0.5 <= x < 0.5:
        return 2
    return 0 if not np.isnan(x) and x != 0.75 else 1


def examples(task: Task, rows: int = 2000) -> tuple[Examples, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.choice([0.75, -1.0, 0.1, 0.5, -0.5, 1.5, 2.0, np.nan], rows).astype(np.float32)
    kind = random.choice(np.array(["red", "blue", "green", None], object), rows)
    wanted = np.array([answer(*row) for row in zip(x.tolist(), kind, strict=True)])
    features = rows_of((x, pa.array(kind, pa.string())), rows, 2)
    labels: Any = wanted.astype(np.int64) if task.classes else random.normal(size=rows)
    flipped = random.random(rows) < 0.2
    if task.classes:
        labels = np.where(flipped, random.integers(0, 3, rows), labels)
    return Examples(features, labels, None, ("x", "kind"), task), wanted


@pytest.mark.parametrize("task", [Multiclass(LOG_LOSS, CLASSES), Regression(MEAN_ABSOLUTE_ERROR)])
def test_the_first_case_that_holds_answers(task: Task, tmp_path: Path) -> None:
    said: Any = CLASSES if task.classes else (10.0, 20.0, 30.0)
    rule = Rule("written", cases=tuple((where, said[n]) for where, n in CASES), otherwise=said[1])
    assert rule.features == ("x", "kind")
    rows, wanted = examples(task)
    model = CaseModel(parameters_of(rule))
    model.fit(rows, None, seed=0, device="cpu")
    scores = model.predict(rows.features)
    if task.classes:
        for n in range(3):
            true = np.bincount(rows.labels[wanted == n], minlength=3) / (wanted == n).sum()
            np.testing.assert_allclose(scores[wanted == n], np.broadcast_to(true, ((wanted == n).sum(), 3)), atol=0.08)
        np.testing.assert_allclose(scores.sum(axis=1), 1)
    else:
        np.testing.assert_array_equal(scores, np.array(said)[wanted])
    parity = check_parity(model.to_onnx(), model.predict, rows.features, bounded=bool(task.classes))
    assert max(parity.values()) <= 1e-5
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict(rows.features), scores)


def test_rules_that_cannot_answer_are_refused_in_one_line() -> None:
    rows, _ = examples(Multiclass(LOG_LOSS, CLASSES))

    def fitted(rule: Rule) -> None:
        CaseModel(parameters_of(rule)).fit(rows, None, seed=0, device="cpu")

    with pytest.raises(Invalid, match=r"expected classes among .*, found 'd'"):
        fitted(Rule("r", cases=((("x", ">", 1), "d"),), otherwise="a"))
    with pytest.raises(Invalid, match="expected kind to be compared with texts, found 1"):
        fitted(Rule("r", cases=((("kind", ">", 1), "a"),), otherwise="b"))
    with pytest.raises(Invalid, match="expected x to be compared with numbers, found 'red'"):
        fitted(Rule("r", cases=((("x", "red"), "a"),), otherwise="b"))
    with pytest.raises(Invalid, match="otherwise: expected the answer where no case holds"):
        Rule("r", cases=((("x", ">", 1), "a"),))
