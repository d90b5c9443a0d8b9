"""Who goes into production first: candidate and baselines as equals, thin evidence, what is confirmed later."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from worlds.judged_world import (
    AS_OF,
    DAY,
    FEATURES,
    PROBLEM,
    USE_CASE,
    FileRegistry,
    fitted,
    table_of,
    write_training_set,
)

from jobs import settings
from jobs.evaluation.explain import attribute
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions, statements
from jobs.ledger.promotions import LedgerView, PromotionDecision
from jobs.models.tables import features_of
from jobs.promotion import approvals, export_onnx, promote
from jobs.promotion.approvals import Person
from jobs.registry.bundle import Bundle
from jobs.use_case import UseCase

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANNA = Person("anna", True, NOW, AS_OF)
Change = Callable[[pa.Table], pa.Table]


@dataclass
class World:
    """A home with a training set, and a registry with one candidate."""

    lakehouse: Lakehouse
    registry: FileRegistry

    def promote(self, use_case: UseCase = USE_CASE, as_of: datetime = AS_OF) -> PromotionDecision | None:
        return promote.promote(self.lakehouse, use_case, self.registry, as_of, NOW)[1]

    def provisional(self) -> bool:
        return self.ledger.provisional

    @property
    def ledger(self) -> LedgerView:
        return promotions.view(self.lakehouse.settings, USE_CASE)


def world_of(folder: Path, table: pa.Table, candidate: Bundle, as_of: datetime = AS_OF) -> World:
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    world = World(write_training_set(own, table, as_of), FileRegistry(folder / "registry"))
    world.registry.add(1, candidate)
    return world


def labelled(seed: int, rows: int, weights: tuple[float, float], base: float = -3.5) -> pa.Table:
    """Payments whose labels depend on amount and x1 in a linear way."""
    table = table_of(seed, rows)
    amount, x1 = table["tx_amount"].to_numpy() / 50, table["x1"].to_numpy()
    chance = 1 / (1 + np.exp(-(base + weights[0] * amount + weights[1] * x1)))
    labels = np.random.default_rng(seed).random(rows) < chance
    return table.set_column(table.column_names.index("is_fraud"), "is_fraud", pa.array(labels))


LINEAR, RANDOM = labelled(1, 12_000, (0.0, 2.0)), labelled(5, 12_000, (0.0, 0.0))
THIN = labelled(1, 4_000, (0.0, 2.0), base=-6.5)
CURVED = table_of(1, 12_000)


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A candidate that sees nothing of the signal."""
    return fitted(tmp_path_factory.mktemp("blind") / "model", LINEAR, ("x2", "x3"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return fitted(tmp_path_factory.mktemp("good") / "model", table_of(2, 12_000))


def test_the_best_contender_is_served_and_that_may_be_a_baseline(tmp_path: Path, blind: Bundle) -> None:
    world = world_of(tmp_path, LINEAR, blind)
    decision = world.promote()
    assert decision is not None and decision.outcome == "promoted" and decision.model_version == 2
    assert decision.evidence["candidate"] in ("logistic regression", "rule x1_then_amount")
    assert set(decision.evidence["metrics"]) == {"version 1", "logistic regression", "rule x1_then_amount"}
    assert "better beyond noise than" in decision.reason and "prevalence" in decision.reason
    assert not world.provisional() and world.registry.aliases["champion"] == 2
    # What the baseline learned from stays; nothing is kept for those that were not chosen.
    pinned = statements.execute(world.lakehouse.settings, "select distinct pinned_by from pins", [{}])
    training = world.registry.fetch(world.lakehouse.settings, USE_CASE, 2).manifest.training
    assert pinned == [(f"fraud training {training['digest'][:16]}",)]
    served = world.registry.fetch(world.lakehouse.settings, USE_CASE, 2, decision.sha256)
    rows = features_of(LINEAR, served.manifest.names)[:50]
    assert len(attribute(served, rows, rows).scores) == 50
    # The same night again finds it in production; the candidate has to beat it from now on.
    again = world.promote()
    assert again is not None and again.outcome == "refused" and "not better beyond noise" in again.reason


def test_a_rule_can_be_the_first_champion(tmp_path: Path, blind: Bundle) -> None:
    use_case = replace(USE_CASE, problem=replace(PROBLEM, baseline_features=("x2",)))
    world = world_of(tmp_path, LINEAR, blind)
    decision = world.promote(use_case)
    assert decision is not None and decision.evidence["candidate"] == "rule x1_then_amount"
    served = world.registry.fetch(world.lakehouse.settings, USE_CASE, 2, decision.sha256)
    assert served.manifest.family == "rule" and served.manifest.training["baseline"] == "rule x1_then_amount"
    rows, labels = features_of(LINEAR, served.manifest.names)[:99], LINEAR["is_fraud"].to_numpy()[:99]
    exported = export_onnx.export(world.lakehouse.settings, USE_CASE, 2, served, rows, labels)
    assert exported.version == 2


def test_a_candidate_is_served_if_it_is_the_best(tmp_path: Path, good: Bundle) -> None:
    decision = world_of(tmp_path, CURVED, good).promote()
    assert decision is not None and (decision.outcome, decision.model_version) == ("promoted", 1)
    measured = {name: m["average_precision"] for name, m in decision.evidence["metrics"].items()}
    assert max(measured, key=lambda name: measured[name]) == "version 1"


def test_a_candidate_of_a_baselines_family_and_features_is_not_compared_with_itself(tmp_path: Path) -> None:
    linear = fitted(tmp_path / "model", LINEAR, FEATURES, family="logistic")
    decision = world_of(tmp_path, LINEAR, linear).promote()
    assert decision is not None and decision.outcome == "promoted"
    assert set(decision.evidence["metrics"]) == {"version 1", "rule x1_then_amount"}


def test_nobody_is_served_who_is_no_better_than_chance(tmp_path: Path, blind: Bundle) -> None:
    world = world_of(tmp_path, RANDOM, blind)
    decision = world.promote()
    assert decision is not None and decision.outcome == "refused" and world.ledger.champion is None
    assert "not better beyond noise than" in decision.reason


def test_a_candidate_that_tells_labels_too_well_is_not_served(tmp_path: Path) -> None:
    leaking = LINEAR.set_column(LINEAR.column_names.index("x3"), "x3", LINEAR["is_fraud"].cast(pa.float32()))
    decision = world_of(tmp_path, leaking, fitted(tmp_path / "model", leaking)).promote()
    # The rule does not see the leak: it is what may be served.
    assert decision is not None and decision.evidence["candidate"] == "rule x1_then_amount"


def test_a_leak_that_training_saw_counts_where_the_judged_rows_are_too_few(tmp_path: Path) -> None:
    told = {"suspicion": "x1 tells the label"}
    suspected = fitted(tmp_path / "model", LINEAR, ("x1",), family="logistic", training=told)
    decision = world_of(tmp_path, THIN, suspected).promote()
    assert decision is not None and decision.outcome == "refused"
    assert decision.reason == "on validation rows: x1 tells the label"


def test_thin_evidence_makes_a_provisional_champion_which_more_evidence_confirms(tmp_path: Path, blind: Bundle) -> None:
    linear = fitted(tmp_path / "model", LINEAR, ("x1",), family="logistic")
    world = world_of(tmp_path, THIN, linear)
    decision = world.promote()
    assert decision is not None and decision.outcome == "promoted" and world.provisional()
    assert decision.reason.startswith("provisional, thin evidence:")
    served = decision.model_version
    # The next night knows no more.
    write_training_set(world.lakehouse.settings, THIN, AS_OF + DAY / 2)
    assert world.promote(as_of=AS_OF + DAY / 2) is None and len(world.ledger.decisions) == 1
    write_training_set(world.lakehouse.settings, LINEAR, AS_OF + DAY)
    confirmed = world.promote(as_of=AS_OF + DAY)
    assert confirmed is not None and confirmed.outcome == "promoted" and not world.provisional()
    assert confirmed.champion_version == served and "better beyond noise" in confirmed.reason


def test_where_people_are_asked_first_thin_evidence_waits(tmp_path: Path, blind: Bundle) -> None:
    asked = replace(USE_CASE, problem=replace(PROBLEM, first="manual"))
    linear = fitted(tmp_path / "model", LINEAR, ("x1",), family="logistic")
    world = world_of(tmp_path, THIN, linear)
    decision = world.promote(asked)
    assert decision is not None and decision.outcome == "waiting" and not world.ledger.champions
    with pytest.raises(approvals.NotPossible, match="expected a reason, as the evidence is too thin"):
        approvals.approve(world.lakehouse.settings, asked, world.registry, decision.model_version, ANNA)
    because = "the shop opens tomorrow"
    approvals.approve(world.lakehouse.settings, asked, world.registry, decision.model_version, ANNA, because)
    assert world.ledger.champions and world.provisional()
    assert world.ledger.decisions[-1].reason.startswith(f"approved by anna, because {because}: provisional")


def test_without_any_label_to_compare_the_candidate_goes_first_provisionally(tmp_path: Path, good: Bundle) -> None:
    nothing = CURVED.set_column(
        CURVED.column_names.index("is_fraud"), "is_fraud", pa.array(np.zeros(len(CURVED), np.bool_))
    )
    world = world_of(tmp_path, nothing, good)
    decision = world.promote()
    assert decision is not None and decision.model_version == 1 and world.provisional()
    assert "nothing can be compared" in decision.reason


def test_a_damaged_candidate_does_not_keep_a_baseline_back(tmp_path: Path, blind: Bundle) -> None:
    world = world_of(tmp_path, LINEAR, blind)
    (world.registry.folder / "1" / "model.onnx").write_bytes(b"")
    decision = world.promote()
    assert decision is not None and decision.outcome == "promoted" and decision.model_version == 2
    assert any("version 1 cannot be used" in said for said in decision.evidence["left_out"])


def test_nobody_at_all_is_a_refusal(tmp_path: Path, blind: Bundle) -> None:
    world = world_of(tmp_path, LINEAR.slice(0, 0), blind)
    shutil.rmtree(world.registry.folder / "1")
    decision = world.promote()
    assert decision is not None and decision.outcome == "refused" and "version 1 cannot be used" in decision.reason
