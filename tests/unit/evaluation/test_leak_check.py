"""A candidate whose rows tell their labels too well is refused, with the reason that the ledger keeps."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluation import leak_check
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.verdict import GateVerdict
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR
from jobs.tasks.binary import BINARY
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

PROBLEM = problem_of(FRAUD)
NAMES = ("tx_amount", "chargeback_fee")


def rows(fees: bool) -> EvaluationRows:
    """2,000 rows, 100 of them positive; with `fees` only these have a fee."""
    chance = np.random.default_rng(0)
    labels = np.arange(2000) % 20 == 0
    fee = np.where(labels, 15.0, 0.0) if fees else chance.normal(size=2000)
    table = pa.table({"tx_amount": chance.normal(size=2000) + labels, "chargeback_fee": fee})
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return EvaluationRows(table, 1, at, at, labels)


def test_a_planted_feature_refuses_the_candidate() -> None:
    judged = rows(fees=True)
    check = leak_check.check(PROBLEM, judged, NAMES, judged.column("tx_amount"))
    verdict = GateVerdict((check,), {})
    assert not verdict.promoted
    assert "chargeback_fee alone has average precision 1.0000" in verdict.reasons[0]
    assert "tx_amount" not in verdict.reasons[0]
    accepted = replace(PROBLEM, telling=("chargeback_fee",))
    assert leak_check.check(accepted, judged, NAMES, judged.column("chargeback_fee")).outcome == "passed"


def test_a_model_that_knows_the_labels_is_refused() -> None:
    judged = rows(fees=False)
    check = leak_check.check(PROBLEM, judged, NAMES, judged.labels + 0.1 * judged.column("tx_amount") / 10)
    assert check.outcome == "failed" and "the model has average precision 1.0000" in check.message


def test_an_encoded_identifier_refuses_the_candidate() -> None:
    judged, customers = rows(fees=False), np.random.default_rng(1).integers(0, 200, 2000)
    share = (np.bincount(customers, weights=judged.labels) / np.bincount(customers))[customers]
    table = judged.table.append_column("customer_id", [customers]).append_column("customer_risk", [share])
    encoded, names = replace(judged, table=table), (*NAMES, "customer_risk")
    check = leak_check.check(PROBLEM, encoded, names, judged.column("tx_amount"), ["customer_id", "terminal_id"])
    assert check.outcome == "failed" and "customer_risk is one value for all rows of a customer_id" in check.message
    accepted = replace(PROBLEM, telling=("customer_risk",))
    assert leak_check.check(accepted, encoded, names, judged.column("tx_amount"), ["customer_id"]).outcome == "passed"


def test_an_honest_candidate_passes() -> None:
    judged = rows(fees=False)
    assert leak_check.check(PROBLEM, judged, NAMES, judged.column("tx_amount")).outcome == "passed"


@pytest.mark.parametrize("task", [BINARY, Multiclass(LOG_LOSS, ("a", "b", "c")), Regression(MEAN_ABSOLUTE_ERROR)])
@pytest.mark.parametrize("name", ["state", "note[words]"])
def test_a_category_or_a_word_that_is_the_label_in_disguise_refuses_the_candidate(task: Task, name: str) -> None:
    """`state` says closed, open or lost as the label is; of `city` many rows share a value, and none of them tells."""
    chance, values = np.random.default_rng(0), np.arange(2000) % 20 % (2 if task is BINARY else 3)
    said = np.array(["closed", "open", "lost"])[values]
    table = pa.table({
        "state": said, "note": [f"it is {word}, says clerk {n % 7}" for n, word in enumerate(said.tolist())],
        "city": chance.integers(0, 50, 2000).astype(str),
    })  # fmt: skip
    at = datetime(2026, 5, 1, tzinfo=UTC)
    judged = EvaluationRows(table, 1, at, at, values.astype(task.dtype), task=task)
    scores = chance.random(2000)
    check = leak_check.check(PROBLEM, judged, ("city", name), scores)
    assert check.outcome == "failed" and f"{name} alone has" in check.message and "city" not in check.message
    assert leak_check.check(PROBLEM, judged, ("city",), scores).outcome == "passed"
