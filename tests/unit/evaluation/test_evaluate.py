"""Candidate, champion and baselines on real bundles and a real Delta table: which rows and features, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pyarrow as pa
import pytest
from worlds.judged_rows import TABLE, rows_in
from worlds.judged_world import AS_OF, DAY, FEATURES, PROBLEM, USE_CASE, fitted, write_training_set

from jobs import settings
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.lakehouse.tables import Lakehouse
from jobs.limits import Limits
from jobs.models.boosted import Boosted
from jobs.models.runtime import score
from jobs.models.tables import examples_of, features_of
from jobs.problem import Rule
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.stats import metrics
from jobs.use_case import UseCase


@pytest.fixture(scope="module")
def poor(folder: Path) -> Bundle:
    """It knows two features only, in another order than the table."""
    return fitted(folder / "poor", rows_in(40, 20), names=("x3", "x1"))


def changed(**changes: object) -> UseCase:
    return replace(USE_CASE, problem=replace(PROBLEM, **changes))  # type: ignore[arg-type]


def test_a_first_champion_has_to_beat_every_baseline(lakehouse: Lakehouse, good: Bundle) -> None:
    verdict = evaluate(lakehouse, USE_CASE, ContenderVersion(1, good), None, AS_OF)
    assert verdict.promoted, verdict.reasons
    evidence = json.loads(json.dumps(verdict.evidence))
    assert set(evidence["metrics"]) == {"version 1", "prevalence", "rule x1_then_amount", "logistic regression"}
    best = max(m["average_precision"] for name, m in evidence["metrics"].items() if name != "version 1")
    assert evidence["checks"]["better_than_baselines"]["rival"] == pytest.approx(best)
    assert evidence["left_out"] == ["slice region: customers was never loaded"]
    assert {"latency", "size", "export_parity"} <= set(evidence["checks"])
    assert evidence["checks"]["size"]["measured"] == good.size_bytes
    assert 0 < evidence["checks"]["latency"]["measured"] < 1000
    assert evidence["checks"]["export_parity"]["measured"] < 1e-5


def test_a_model_that_is_no_better_than_a_baseline_is_refused(lakehouse: Lakehouse, folder: Path) -> None:
    linear = fitted(folder / "linear", rows_in(40, 20), family="logistic")
    few = changed(baseline_features=("x1", "x2", "x3"))
    verdict = evaluate(lakehouse, few, ContenderVersion(1, linear), None, AS_OF)
    assert not verdict.promoted
    assert "not better beyond noise" in verdict.reasons[0] and "logistic regression" in verdict.reasons[0]
    # The same family with the same features is no rival: it is the candidate trained again.
    evidence = evaluate(lakehouse, USE_CASE, ContenderVersion(1, linear), None, AS_OF).evidence
    assert set(evidence["metrics"]) == {"version 1", "prevalence", "rule x1_then_amount"}


def test_everyone_is_scored_on_the_same_rows_by_features_of_their_own(
    lakehouse: Lakehouse, good: Bundle, poor: Bundle
) -> None:
    verdict = evaluate(lakehouse, USE_CASE, ContenderVersion(2, good), ContenderVersion(1, poor), AS_OF)
    assert verdict.promoted, verdict.reasons
    rows = rows_in(15, 5)
    for name, made in (("version 2", good), ("version 1", poor)):
        expected = score(made.session(), features_of(rows, made.manifest.names))
        found = verdict.evidence["metrics"][name]["average_precision"]
        assert found == pytest.approx(metrics.average_precision(rows["is_fraud"].to_numpy(), expected))
    assert not evaluate(lakehouse, USE_CASE, ContenderVersion(1, poor), ContenderVersion(2, good), AS_OF).promoted


def test_a_champion_whose_feature_is_gone_is_left_out_and_that_is_said(
    lakehouse: Lakehouse, good: Bundle, folder: Path
) -> None:
    more = TABLE.append_column("gone", TABLE["x1"])
    old = fitted(folder / "old", more, names=("gone", "x2"))
    verdict = evaluate(lakehouse, USE_CASE, ContenderVersion(2, good), ContenderVersion(1, old), AS_OF)
    assert "its features ['gone'] are not in version" in verdict.evidence["champion_left_out"]
    assert verdict.evidence["champion"] == "version 1" and "better_than_champion" not in verdict.evidence["checks"]
    # The other way round the candidate is of no use.
    refused = evaluate(lakehouse, USE_CASE, ContenderVersion(2, old), ContenderVersion(1, good), AS_OF)
    assert not refused.promoted and "version 2 cannot be used: its features ['gone']" in refused.reasons[0]


def test_a_model_of_another_use_case_is_refused(lakehouse: Lakehouse, folder: Path) -> None:
    other = fitted(folder / "other", rows_in(40, 20), use_case="returns")
    verdict = evaluate(lakehouse, USE_CASE, ContenderVersion(1, other), None, AS_OF)
    assert verdict.reasons == ("version 1 cannot be used: it is a model of returns, not of fraud",)


@pytest.mark.parametrize("value", [True, False])
def test_rows_of_one_class_are_a_refusal(tmp_path: Path, good: Bundle, value: bool) -> None:
    table = rows_in(15, 5)
    same = table.set_column(8, "is_fraud", pa.array([value] * table.num_rows))
    own = write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path)}), same)
    verdict = evaluate(own, USE_CASE, ContenderVersion(1, good), None, AS_OF)
    assert not verdict.promoted and "nothing can be compared" in verdict.reasons[0]


def test_no_rows_at_all_are_a_refusal(lakehouse: Lakehouse, good: Bundle) -> None:
    young = replace(USE_CASE, label_maturity=60 * DAY)
    verdict = evaluate(lakehouse, young, ContenderVersion(1, good), None, AS_OF)
    assert verdict.reasons[0].startswith("0 mature rows")


def test_a_training_set_that_knows_the_future_is_refused(lakehouse: Lakehouse, good: Bundle) -> None:
    with pytest.raises(ValueError, match="found one that knows more"):
        evaluate(lakehouse, USE_CASE, ContenderVersion(1, good), None, AS_OF - DAY)


def test_a_home_without_training_set_is_refused(tmp_path: Path, good: Bundle) -> None:
    with pytest.raises(ValueError, match="expected a training set, found none"):
        evaluate(
            Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path)})),
            USE_CASE,
            ContenderVersion(1, good),
            None,
            AS_OF,
        )


def test_what_a_baseline_lacks_is_said(lakehouse: Lakehouse, good: Bundle) -> None:
    use_case = changed(rules=(Rule("unknown", ("nothing",)),))
    evidence = evaluate(lakehouse, use_case, ContenderVersion(1, good), None, AS_OF).evidence
    assert "rule unknown: no columns ['nothing'] among the judged rows" in evidence["left_out"]


def test_training_noise_is_declared_recorded_or_measured(lakehouse: Lakehouse, folder: Path, good: Bundle) -> None:
    recorded = fitted(folder / "recorded", rows_in(40, 20), training={"training_noise": 0.25})
    noises = [
        evaluate(lakehouse, case, ContenderVersion(1, made), None, AS_OF).evidence["limits"]["training_noise"]
        for case, made in (
            (changed(limits=Limits(training_noise=0.125)), recorded),
            (changed(limits=Limits()), recorded),
            (changed(limits=Limits()), good),
        )
    ]
    assert noises[:2] == [0.125, 0.25] and 0 < noises[2] < 0.1


def test_a_graph_that_says_something_else_than_its_model_is_refused(lakehouse: Lakehouse, folder: Path) -> None:
    class Liar(Boosted):
        def to_onnx(self) -> onnx.ModelProto:
            other = Boosted({"rounds": 5})
            other.fit(examples_of(TABLE, FEATURES, "is_fraud"), None, seed=0, device="cpu")
            return other.to_onnx()

    liar = Liar({"rounds": 40})
    liar.fit(examples_of(rows_in(40, 20), FEATURES, "is_fraud"), None, seed=0, device="cpu")
    manifest = Manifest("fraud", "boosted", tuple((n, "float32") for n in FEATURES), 0.5, AS_OF.isoformat(), {})
    verdict = evaluate(
        lakehouse, USE_CASE, ContenderVersion(1, bundle.write(folder / "liar", liar, manifest)), None, AS_OF
    )
    assert "export_parity" in [c.name for c in verdict.checks if c.outcome == "failed"]


def test_a_slow_model_is_refused(lakehouse: Lakehouse, good: Bundle) -> None:
    verdict = evaluate(
        lakehouse,
        changed(limits=Limits(latency_ms=0.0, size_bytes=10.0, training_noise=0.0)),
        ContenderVersion(1, good),
        None,
        AS_OF,
    )
    assert [c.name for c in verdict.checks if c.outcome == "failed"] == ["latency", "size"]
