"""Candidate, champion and baselines on real bundles and a real Delta table: which rows and features, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.judged_world import AS_OF, DAY, FEATURES, PROBLEM, USE_CASE, fitted, table_of, write_training_set

from jobs import settings
from jobs.evaluation import baselines, evaluation_rows
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.lakehouse.tables import Lakehouse
from jobs.models.boosted import Boosted
from jobs.models.protocol import Examples
from jobs.models.runtime import score
from jobs.models.tables import examples_of, features_of
from jobs.problem import Groups, Problem, Rule, Slice
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.stats import metrics
from jobs.use_case import UseCase

START, END = AS_OF - 15 * DAY, AS_OF - 5 * DAY
TABLE = table_of(seed=1, rows=12_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def lakehouse(folder: Path) -> Lakehouse:
    return write_training_set(settings.load({"EVERGREEN_HOME": str(folder / "home")}), TABLE)


def rows_in(start: float, end: float) -> pa.Table:
    """Rows of the table with event times in (start, end], in days before AS_OF."""
    times = TABLE["tx_datetime"].to_numpy()
    limits = [np.datetime64((AS_OF - timedelta(days=d)).replace(tzinfo=None), "us") for d in (start, end)]
    return TABLE.filter(pa.array((times > limits[0]) & (times <= limits[1])))


@pytest.fixture(scope="module")
def good(folder: Path) -> Bundle:
    return fitted(folder / "good", rows_in(40, 20))


@pytest.fixture(scope="module")
def poor(folder: Path) -> Bundle:
    """It knows two features only, in another order than the table."""
    return fitted(folder / "poor", rows_in(40, 20), names=("x3", "x1"))


def changed(**changes: object) -> UseCase:
    return replace(USE_CASE, problem=replace(PROBLEM, **changes))  # type: ignore[arg-type]


def read(lakehouse: Lakehouse, problem: Problem = PROBLEM) -> evaluation_rows.EvaluationRows:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    return evaluation_rows.read(lakehouse, USE_CASE, problem, version, AS_OF)


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
    verdict = evaluate(lakehouse, USE_CASE, ContenderVersion(1, linear), None, AS_OF)
    assert not verdict.promoted
    assert "not better beyond noise" in verdict.reasons[0] and "logistic regression" in verdict.reasons[0]


def test_judged_are_the_latest_mature_rows_and_no_other(lakehouse: Lakehouse) -> None:
    rows = read(lakehouse)
    expected = rows_in(15, 5)
    assert sorted(rows.column("transaction_id")) == expected["transaction_id"].to_pylist()
    assert (rows.start, rows.end) == (START, END) and len(rows) == expected.num_rows
    assert rows.labels.sum() == sum(expected["is_fraud"].to_pylist())


def test_the_window_is_open_at_its_start_and_closed_at_its_end(tmp_path: Path) -> None:
    instant = timedelta(microseconds=1)
    moments = [START, START + instant, END, END + instant]
    table = table_of(seed=2, rows=4).set_column(1, "tx_datetime", pa.array(moments, pa.timestamp("us", "UTC")))
    table = table.set_column(9, "event_date", pa.array([m.date() for m in moments]))
    own = write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path)}), table)
    assert sorted(read(own).column("transaction_id")) == [1, 2]


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


def test_slices_are_bounds_values_and_groups_of_profiles(tmp_path: Path) -> None:
    own = write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path)}), TABLE)
    regions = ["north", "south", None]
    customers = sorted(set(TABLE["customer_id"].to_pylist()))[:-1]  # one has no profile
    profile = [(c, regions[c % 3], AS_OF - 50 * DAY) for c in customers]
    profile += [(3, "moved", AS_OF - 2 * DAY), (6, "not yet", AS_OF + DAY)]
    columns = zip(*profile, strict=True)
    names = ("customer_id", "region", "known_at")
    write_deltalake(own.path("fraud_raw.customers"), pa.table(dict(zip(names, map(list, columns), strict=True))))
    guards = (
        Slice("small", "tx_amount", maximum=20),
        Slice("middle", "tx_amount", minimum=20, maximum=50),
        Slice("south_only", "region", values=("south",), source="customers"),
        Groups("amount", "tx_amount", edges=(20, 50)),
        Groups("region", "region", source="customers"),
    )
    rows = read(own, replace(PROBLEM, slices=guards))
    amounts, customer = rows.column("tx_amount"), rows.column("customer_id")
    region = np.array(["moved" if c == 3 else regions[c % 3] if c in set(customers) else None for c in customer])
    expected = {
        "small": amounts < 20,
        "middle": (amounts >= 20) & (amounts < 50),
        "south_only": region == "south",
        "amount:below 20": amounts < 20,
        "amount:20 to 50": (amounts >= 20) & (amounts < 50),
        "amount:from 50": amounts >= 50,
        "region:north": region == "north",
        "region:south": region == "south",
        "region:moved": region == "moved",
    }
    if not (customer == 3).any():
        del expected["region:moved"]
    assert list(rows.slices) and rows.slices.keys() == expected.keys() and rows.left_out == ()
    for name, mask in expected.items():
        np.testing.assert_array_equal(rows.slices[name], mask.astype(bool), err_msg=name)


def test_declarations_that_cannot_be_guarded_are_refused(lakehouse: Lakehouse) -> None:
    with pytest.raises(ValueError, match="expected column 'colour'"):
        read(lakehouse, replace(PROBLEM, slices=(Slice("red", "colour", values=("red",)),)))
    with pytest.raises(ValueError, match="expected at most 50 values of 'customer_id'"):
        read(lakehouse, replace(PROBLEM, slices=(Groups("customer", "customer_id"),)))


def test_a_rule_ranks_by_its_first_feature_and_breaks_ties_by_the_next() -> None:
    table = pa.table({"a": [2.0, 1.0, 2.0, None, 1.0, 1.0], "b": [0.0, 5.0, 1.0, 9.0, 5.0, None]})
    rows = Examples(features_of(table, ["a", "b"]), np.zeros(6, dtype=bool), None, ("a", "b"))
    places = baselines._places(Rule("r", ("a", "b")), rows)
    assert list(places) == [4, 3, 5, 1, 3, 2]


def test_the_logistic_baseline_learns_from_whole_latest_days_known_by_then(lakehouse: Lakehouse) -> None:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    end = START - USE_CASE.label_maturity
    known = baselines.training_rows(lakehouse, USE_CASE, version, FEATURES, end, most=1000)
    days = 4  # of 300 rows each
    expected = examples_of(rows_in(20 + days, 20), FEATURES, "is_fraud")
    assert sorted(known.features[:, 1]) == sorted(expected.features[:, 1])
    everything = baselines.training_rows(lakehouse, USE_CASE, version, FEATURES, end, most=10**9)
    assert len(everything) == rows_in(40, 20).num_rows


def test_what_a_baseline_lacks_is_said(lakehouse: Lakehouse, good: Bundle) -> None:
    use_case = changed(rules=(Rule("unknown", ("nothing",)),))
    evidence = evaluate(lakehouse, use_case, ContenderVersion(1, good), None, AS_OF).evidence
    assert "rule unknown: no columns ['nothing'] among the judged rows" in evidence["left_out"]


def test_training_noise_is_declared_recorded_or_measured(lakehouse: Lakehouse, folder: Path, good: Bundle) -> None:
    recorded = fitted(folder / "recorded", rows_in(40, 20), training={"training_noise": 0.25})
    noises = [
        evaluate(lakehouse, case, ContenderVersion(1, made), None, AS_OF).evidence["limits"]["training_noise"]
        for case, made in (
            (changed(training_noise=0.125), recorded),
            (changed(training_noise=None), recorded),
            (changed(training_noise=None), good),
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
    verdict = evaluate(lakehouse, changed(latency_ms=0.0, size_bytes=10.0), ContenderVersion(1, good), None, AS_OF)
    assert [c.name for c in verdict.checks if c.outcome == "failed"] == ["latency", "size"]
