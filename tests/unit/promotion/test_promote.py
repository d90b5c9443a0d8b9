"""From candidate to champion with real bundles: automatic, by a person, back again; the aliases follow the ledger."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from worlds.judged_world import AS_OF, DAY, PROBLEM, USE_CASE, FileRegistry, fitted, table_of, write_training_set

from jobs import settings
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.maintenance import PROPERTIES
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.promotion import approvals, export_onnx
from jobs.promotion import promote as promotion
from jobs.promotion.approvals import NotPossible, Person
from jobs.promotion.promote import Judged
from jobs.registry.bundle import Bundle
from jobs.retraining import decisions
from jobs.retraining.policy import Evidence
from jobs.use_case import UseCase

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANNA = Person("anna", True, NOW, AS_OF)
MANUAL = replace(USE_CASE, problem=replace(PROBLEM, approval="manual"))
TABLE = table_of(seed=1, rows=12_000)


@dataclass
class World:
    """A home with a training set, a registry, and models from poor (0) to good (2)."""

    lakehouse: Lakehouse
    registry: FileRegistry
    models: list[Bundle]

    def promote(self, use_case: UseCase = USE_CASE, as_of: datetime = AS_OF) -> tuple[Judged, PromotionDecision | None]:
        return promotion.promote(self.lakehouse, use_case, self.registry, as_of, NOW)

    def outcome(self, use_case: UseCase = USE_CASE, as_of: datetime = AS_OF) -> str | None:
        _, decision = self.promote(use_case, as_of)
        return decision.outcome if decision else None

    @property
    def settings(self) -> settings.Settings:
        return self.lakehouse.settings

    @property
    def champion(self) -> int | None:
        found = promotions.champion(self.settings, USE_CASE)
        return found.version if found else None

    def approve(self, version: int, person: Person = ANNA) -> PromotionDecision:
        return approvals.approve(self.settings, MANUAL, self.registry, version, person)

    def rollback(self, to: int | None = None, person: Person = ANNA) -> PromotionDecision:
        return approvals.rollback(self.settings, USE_CASE, self.registry, person, "odd scores", to)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("models")
    names = (("x1", "x3"), ("x1", "x2"), ("tx_amount", "x1", "x2", "x3"))
    return [fitted(folder / str(n), table_of(seed=2, rows=12_000), chosen) for n, chosen in enumerate(names)]


@pytest.fixture
def world(tmp_path: Path, models: list[Bundle]) -> World:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    return World(write_training_set(own, TABLE), FileRegistry(tmp_path / "registry"), models)


def climbed(world: World) -> World:
    """Versions 1 and 2 were champions, 2 is."""
    for version in (1, 2):
        world.registry.add(version, world.models[version])
        assert world.outcome() == "promoted"
    return world


def test_a_better_candidate_replaces_the_champion_and_aliases_follow(world: World) -> None:
    assert world.promote() == (Judged("there is no candidate yet"), None)
    climbed(world)
    assert world.registry.aliases == {"candidate": 2, "champion": 2, "previous": 1}
    one, two = promotions.decisions(world.settings, USE_CASE)
    assert "better beyond noise" in two.reason and two.champion_version == 1 and two.decided_at == NOW
    assert two.evidence["checks"]["better_than_champion"]["difference"] > 0
    assert two.versions == {USE_CASE.training_set: 0, USE_CASE.events: 0}
    assert two.sha256 == world.models[2].sha256 and one.champion_version is None


def test_a_second_run_adds_nothing(world: World) -> None:
    climbed(world)
    judged, decision = world.promote()
    assert decision is None and judged.message == "the candidate, version 2, is the champion already"
    assert len(promotions.decisions(world.settings, USE_CASE)) == 2


def test_a_worse_candidate_is_refused_once_and_the_champion_stays(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[0])
    refused = [world.promote() for _ in range(2)]
    assert refused[0][1] == refused[1][1] and refused[0][1] is not None and refused[0][1].outcome == "refused"
    assert "not better beyond noise" in refused[0][1].reason
    assert [judged.message for judged, _ in refused] == [
        "judged now", "judged before, on the same rows and against the same champion"
    ]  # fmt: skip
    assert world.champion == 2 and world.registry.aliases["champion"] == 2
    assert len(promotions.decisions(world.settings, USE_CASE)) == 3


def test_new_rows_are_new_evidence_and_maintenance_is_not(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[0])
    world.outcome()
    state = keeping(world.lakehouse.state(USE_CASE.training_set))
    world.lakehouse.delta(USE_CASE.training_set).alter.set_table_properties(PROPERTIES, commit_properties=state)
    assert world.lakehouse.version(USE_CASE.training_set) == 1
    assert world.outcome() == "refused" and len(promotions.decisions(world.settings, USE_CASE)) == 3
    write_training_set(world.settings, TABLE, AS_OF + timedelta(hours=1))
    assert world.outcome(as_of=AS_OF + DAY) == "refused" and len(promotions.decisions(world.settings, USE_CASE)) == 4


def test_every_night_with_new_rows_is_one_more_look_and_a_night_repeated_is_not(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[0])
    seen = []
    for night in range(3):
        write_training_set(world.settings, TABLE, AS_OF + timedelta(hours=night))
        for _ in range(2):
            judged, _ = world.promote(as_of=AS_OF + DAY)
            assert judged.evaluation is not None
            seen.append(judged.evaluation.evidence["look"])
    assert [look["number"] for look in seen] == [1, 1, 2, 2, 3, 3]
    assert [look["spent"] for look in seen] == sorted(look["spent"] for look in seen) and seen[-1]["spent"] < 0.05
    # A new champion has looks of its own.
    world.rollback()
    world.registry.add(4, world.models[2])
    judged, _ = world.promote(as_of=AS_OF + 2 * DAY)
    assert judged.evaluation is not None and judged.evaluation.evidence["look"]["number"] == 1


def test_history_is_not_judged_by_a_champion_of_the_future(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[2])
    judged, decision = world.promote(as_of=AS_OF - DAY)
    assert decision is None and "is in production since" in judged.message


def test_a_person_approves_what_waits(world: World) -> None:
    world.registry.add(1, world.models[1])
    assert world.outcome(MANUAL) == "waiting" and world.champion is None and "champion" not in world.registry.aliases
    approved = world.approve(1, replace(ANNA, authenticated=False))
    assert (approved.kind, approved.outcome, approved.by, approved.authenticated) == (
        "approval", "promoted", "anna", False
    )  # fmt: skip
    assert approved.evidence == promotions.decisions(world.settings, USE_CASE)[0].evidence
    assert world.champion == 1
    assert promotion.reconcile(world.settings, USE_CASE, world.registry) == {"champion": 1, "previous": None}
    with pytest.raises(NotPossible, match=r"waits for a person \(now: none\), found promoted"):
        world.approve(1)


def test_who_was_judged_against_another_champion_must_be_judged_again(world: World) -> None:
    for version in (1, 2):
        world.registry.add(version, world.models[version])
        assert world.outcome(MANUAL) == "waiting"
    assert promotions.view(world.settings, USE_CASE).waiting == [1, 2]
    assert world.approve(2).outcome == "promoted"
    late = world.approve(1)
    assert late.outcome == "refused" and "judged against no champion, but version 2 is in production" in late.reason
    assert world.champion == 2


def test_what_a_person_rejected_is_not_asked_about_again(world: World) -> None:
    world.registry.add(1, world.models[1])
    world.outcome(MANUAL)
    approvals.reject(world.settings, MANUAL, 1, ANNA, "too young")
    judged, decision = world.promote(MANUAL)
    assert decision is None and judged.message == "version 1 was rejected by anna: too young"
    with pytest.raises(NotPossible, match=r"found rejected \(too young\)"):
        world.approve(1)


def test_a_version_nobody_knows_cannot_be_approved(world: World) -> None:
    with pytest.raises(NotPossible, match="found no decision about it"):
        world.approve(7)


def test_a_rollback_restores_the_previous_champion_and_stays(world: World) -> None:
    climbed(world)
    back = world.rollback(person=replace(ANNA, as_of=AS_OF + DAY))
    assert (back.kind, back.model_version, back.by, back.reason) == ("rollback", 1, "anna", "odd scores")
    assert promotion.reconcile(world.settings, USE_CASE, world.registry) == {"champion": 1, "previous": None}
    restored = promotions.champion(world.settings, USE_CASE)
    assert restored and restored.sha256 == world.models[1].sha256 and restored.since == AS_OF + DAY
    # The alias `candidate` still names the version rolled back: no run promotes it again.
    judged, decision = world.promote(as_of=AS_OF + DAY)
    assert decision is None and "was rolled back" in judged.message and world.champion == 1
    # A person can.
    assert world.rollback(to=2).model_version == 2 and world.champion == 2


def test_a_rollback_serves_the_former_champion_online_at_once(world: World) -> None:
    climbed(world)
    labels = np.arange(1_000) % 2 == 0
    for version, bundle in enumerate(world.models[1:], start=1):
        rows = np.random.default_rng(0).normal(size=(1_000, len(bundle.manifest.features))).astype(np.float32)
        export_onnx.export(world.settings, USE_CASE, version, bundle, rows, labels)
    world.rollback()
    promotion.reconcile(world.settings, USE_CASE, world.registry)
    online = export_onnx.current(world.settings, USE_CASE)
    assert online is not None and (online.version, online.bundle.sha256) == (1, world.models[1].sha256)


def test_a_decision_holds_from_now_or_from_where_history_stands(world: World) -> None:
    soon, late = AS_OF + DAY, AS_OF + 100 * DAY

    def at(now: datetime) -> datetime:
        return approvals.person(world.settings, USE_CASE, "anna", True, now).as_of

    assert at(late) == late
    climbed(world)
    assert (at(soon), at(late)) == (soon, AS_OF)
    # Nights after the last decision are part of that history: what was scored on them stays as it was.
    night = Evidence(AS_OF + 3 * DAY, {}, AS_OF.date(), {})
    decisions.record_evidence(world.settings, USE_CASE, night, NOW)
    assert (at(soon), at(late)) == (soon, AS_OF + 3 * DAY)


def test_nobody_to_go_back_to_is_said(world: World) -> None:
    with pytest.raises(NotPossible, match="expected a former champion to go back to, found no champion before"):
        world.rollback()
    climbed(world)
    with pytest.raises(NotPossible, match=r"expected version 9 .* found the former champions \[1\]"):
        world.rollback(to=9)


def test_a_registry_that_was_down_follows_at_the_next_run(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[1])
    approvals.rollback(world.settings, USE_CASE, world.registry, ANNA, "odd scores")
    world.registry.down = True
    with pytest.raises(ConnectionError):
        promotion.reconcile(world.settings, USE_CASE, world.registry)
    with pytest.raises(ConnectionError):
        world.promote()
    assert world.champion == 1 and world.registry.aliases["champion"] == 2
    world.registry.down = False
    world.promote()
    assert world.registry.aliases == {"candidate": 3, "champion": 1}


def test_a_registry_that_goes_down_after_the_promotion_follows_at_the_next_run(world: World) -> None:
    class GoesDown(FileRegistry):
        def set_aliases(self, *arguments: object) -> None:
            raise ConnectionError("the registry does not answer")

    world.registry.add(1, world.models[1])
    with pytest.raises(ConnectionError):
        promotion.promote(world.lakehouse, USE_CASE, GoesDown(world.registry.folder), AS_OF, NOW)
    assert world.champion == 1 and world.registry.aliases == {"candidate": 1}
    assert world.outcome() is None and world.registry.aliases == {"candidate": 1, "champion": 1}


@pytest.mark.parametrize("file", ["model.onnx", "model/booster.txt", "manifest.json"])
def test_a_corrupt_candidate_is_refused_and_the_champion_untouched(world: World, file: str) -> None:
    world.registry.add(1, world.models[1])
    world.outcome()
    world.registry.add(2, world.models[2])
    path = world.registry.folder / "2" / file
    path.write_bytes(path.read_bytes()[:-9] + b"something")
    _, decision = world.promote()
    assert decision and decision.outcome == "refused" and "version 2 cannot be used" in decision.reason
    assert world.champion == 1 and world.registry.aliases["champion"] == 1


def test_a_corrupt_bundle_is_neither_approved_nor_rolled_back_to(world: World) -> None:
    climbed(world)
    (world.registry.folder / "1" / "model.onnx").write_bytes(b"")
    with pytest.raises(NotPossible, match="version 1 cannot go into production"):
        world.rollback()
    assert world.champion == 2


@pytest.mark.parametrize("lost", ["missing", "another one"])
def test_without_the_champions_bundle_a_person_decides(world: World, lost: str) -> None:
    world.registry.add(1, world.models[1])
    world.outcome()
    shutil.rmtree(world.registry.folder / "1")
    if lost == "another one":
        shutil.copytree(world.models[0].folder, world.registry.folder / "1")
    world.registry.add(2, world.models[2])
    _, decision = world.promote()
    assert (
        decision and decision.outcome == "waiting" and "the champion, version 1, cannot be compared" in decision.reason
    )
    assert world.champion == 1
    assert world.approve(2).outcome == "promoted" and world.champion == 2


def test_a_candidate_that_cannot_beat_the_champion_never_waits(world: World) -> None:
    climbed(world)
    world.registry.add(3, world.models[0])
    _, decision = world.promote(MANUAL)
    assert decision and decision.outcome == "refused" and "not better beyond noise" in decision.reason
