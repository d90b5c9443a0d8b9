"""A candidate whose rows tell their labels too well is refused, with the reason that the ledger keeps."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from jobs.evaluation import leak_check
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.verdict import GateVerdict
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


def test_an_honest_candidate_passes() -> None:
    judged = rows(fees=False)
    assert leak_check.check(PROBLEM, judged, NAMES, judged.column("tx_amount")).outcome == "passed"
