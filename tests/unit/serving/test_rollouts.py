"""Arms as clients meet them: who answers, what the log keeps of it, what shadows say, and how fast it is taken back."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from worlds import exported_models
from worlds.deciding_server import deciding

from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Decided, Shadow
from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.promotion import export_onnx
from jobs.rollout_strategy import Strategy
from jobs.rollouts import published
from jobs.rollouts.assignment import assigned
from jobs.settings import Settings
from jobs.state_files import identity
from jobs.use_cases.fraud import FRAUD
from serving.live_models import live_model
from serving.live_models.live_rollouts import LiveRollouts
from serving.rollouts import shadow_scores

pytestmark = pytest.mark.embedded
NOW = datetime(2026, 5, 20, tzinfo=UTC)
AGE = "evergreen_assignment_age_seconds"
PATIENCE = 10
"""Seconds; a change is seen within .2 of them on a quiet machine."""


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def client(home: Settings) -> Iterator[httpx.Client]:
    """Version 3 is in service and champion; version 7 is exported beside it."""
    with deciding(home) as address, httpx.Client(base_url=address) as found:
        decision = PromotionDecision("fraud", NOW, NOW, "promotion", "promoted", "", "me", True, 3, "a" * 64, None, "d")
        promotions.decide(home, decision)
        yield found


def start(home: Settings, kind: Any, share: float, name: str = "next_model", seed: int = 7) -> Rollout:
    staged = exported_models.stage(home, 7, made(home, seed))
    arm = Arm("new", 7, staged.bundle.sha256, staged.sha256)
    wanted = Rollout("fraud", name, Strategy(kind).stored, (arm,), 3, "a" * 64, 0.0, 0.0, NOW, 0)
    first = Change("started", {"new": share}, "", "me", NOW)
    started = rollouts.start(home, wanted, first, 0.0 if kind == "shadow" else 1.0)
    published.publish(home, FRAUD)
    return started


def made(home: Settings, seed: int = 7) -> Any:
    return exported_models.made(Path(home.home) / f"made-{seed}", seed, names=exported_models.OF_EVENTS)


def change(home: Settings, rollout: Rollout, kind: Any, shares: dict[str, float]) -> Rollout:
    changed = rollouts.change(home, rollout, Change(kind, shares, "", "me", NOW))
    published.publish(home, FRAUD)
    return changed


def ask(client: httpx.Client, id: int, customer: int) -> dict[str, Any]:
    event = {"transaction_id": id, "customer_id": customer, "terminal_id": 100, "tx_amount": 7 + id % 50}
    answer = client.post("/v1/fraud/decisions", json=event)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until(client: httpx.Client, wanted: Any, numbers: Iterator[int], customer: int = 1) -> None:
    """Ask until a version answers that customer."""
    end = time.monotonic() + PATIENCE
    while ask(client, next(numbers), customer)["model_version"] != wanted:
        assert time.monotonic() < end, f"version {wanted} did not answer"


def logged(home: Settings, kind: type) -> list[Any]:
    with opened.log_of(home, FRAUD) as log:
        contents = [log_contents.decode(record.content) for record in log.records()]
    return [each for each in contents if isinstance(each, kind)]


def numbers() -> Iterator[int]:
    return iter(range(1_000, 10**9))


def test_each_customer_stays_in_an_arm_and_a_change_takes_it_back(client: httpx.Client, home: Settings) -> None:
    number = numbers()
    rollout = start(home, "ab", 0.5)
    known = published.read(published.path(home, FRAUD))
    arms = {customer: assigned("fraud", known, customer) for customer in range(1, 30)}
    new = next(customer for customer, arm in arms.items() if arm.arm is not None)
    until(client, "7", number, new)
    for customer, arm in list(arms.items()) * 2:
        answer = ask(client, next(number), customer)
        assert answer["model_version"] == ("3" if arm.arm is None else "7") and answer["fallback"] is None
        assert answer["arm"] == arm.name
    decided = logged(home, Decided)[-20:]
    assert {(each.arm, each.propensity) for each in decided} == {
        (f"{rollout.id}:champion", 0.5),
        (f"{rollout.id}:new", 0.5),
    }
    assert all(each.scoring > 0 for each in decided)
    change(home, rollout, "aborted", {})
    until(client, "3", number, new)
    answer = ask(client, next(number), new)
    assert answer["model_version"] == "3" and "arm" not in answer
    assert logged(home, Decided)[-1].arm == "champion"


def test_both_models_score_what_takes_part_and_shadows_answer_nobody(client: httpx.Client, home: Settings) -> None:
    number = numbers()
    start(home, "shadow", 0.0)
    end = time.monotonic() + PATIENCE
    while not (shadows := logged(home, Shadow)):
        assert ask(client, next(number), 1)["model_version"] == "3"
        assert time.monotonic() < end
    stamps = {each.id: each for each in logged(home, Decided)}
    for each in shadows:
        decided = stamps[each.id]
        assert (each.arm, each.model_version, each.failure) == ("new", "7", None)
        assert each.decided_at == decided.decided_at and decided.arm == "champion"
        assert each.outcome.score is not None
    assert shadows[0].scoring > 0
    assert 'evergreen_shadows_total{arm="new",outcome="scored",use_case="fraud"}' in client.get("/metrics").text


def test_shadows_of_many_events_at_once_are_what_the_model_answers_one_by_one(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 7 is the champion's model here, so that its shadow must say what the champion answered."""
    monkeypatch.setattr(shadow_scores, "PAUSE_SECONDS", 0.3)
    number = numbers()
    start(home, "shadow", 0.0, seed=0)
    answered: dict[int, float] = {}
    end = time.monotonic() + PATIENCE
    while len(shadows := logged(home, Shadow)) < 40:
        found = ask(client, next(number), 1)
        answered[found["transaction_id"]] = found["score"]
        assert time.monotonic() < end
    assert [each.outcome.score for each in shadows] == [answered[each.id] for each in shadows]
    assert 0 < sum(each.scoring > 0 for each in shadows) < len(shadows)


def test_the_champion_scores_too_where_another_answers(client: httpx.Client, home: Settings) -> None:
    number = numbers()
    rollout = start(home, "canary", 1.0)
    until(client, "7", number)
    end = time.monotonic() + PATIENCE
    while not (shadows := logged(home, Shadow)):
        assert time.monotonic() < end
    assert {(each.rollout, each.arm, each.model_version) for each in shadows} == {(rollout.id, "champion", "3")}


def test_a_model_that_fails_is_answered_for_by_the_champion(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, usual = numbers(), live_model.LiveModel.run

    def run(model: live_model.LiveModel, rows: Any) -> Any:
        if model.version == "7":
            raise ValueError("it is broken")
        return usual(model, rows)

    rollout = start(home, "canary", 1.0)
    until(client, "7", number)
    monkeypatch.setattr(live_model.LiveModel, "run", run)
    for _ in range(12):
        answer = ask(client, next(number), 1)
        assert answer["score"] is not None
        assert (answer["model_version"], answer["fallback"]) == ("3", "champion")
        assert "the model failed" in answer["reason"]
    assert {each.arm for each in logged(home, Decided)[-12:]} == {f"{rollout.id}:new"}


def test_an_arm_whose_export_is_damaged_is_answered_for_by_the_champion(client: httpx.Client, home: Settings) -> None:
    number = numbers()
    exported_models.stage(home, 7, made(home))
    exported_models.damage(home, 7)
    staged = export_onnx.root(home, FRAUD) / "7"
    sha256 = hashlib.sha256((staged / export_onnx.MANIFEST).read_bytes()).hexdigest()
    arm = Arm("new", 7, "b" * 64, sha256)
    wanted = Rollout("fraud", "broken", Strategy().stored, (arm,), 3, "a" * 64, 0.0, 0.0, NOW, 0)
    rollouts.start(home, wanted, Change("started", {"new": 1.0}, "", "me", NOW), 1.0)
    published.publish(home, FRAUD)
    end = time.monotonic() + PATIENCE
    while (answer := ask(client, next(number), 1))["fallback"] is None:
        assert time.monotonic() < end
    assert (answer["fallback"], answer["model_version"]) == ("champion", "3") and "model.onnx" in answer["reason"]


def test_a_damaged_file_leaves_the_last_good_assignment(client: httpx.Client, home: Settings) -> None:
    number = numbers()
    start(home, "canary", 1.0)
    until(client, "7", number)
    file = published.path(home, FRAUD)
    for content in (b"", b"[{", b'{"a": 1}', b"\xff"):
        file.with_suffix(".new").write_bytes(content)
        file.with_suffix(".new").replace(file)
        time.sleep(0.5)
        assert ask(client, next(number), 1)["model_version"] == "7"
    published.publish(home, FRAUD)
    assert ask(client, next(number), 1)["model_version"] == "7"


def test_a_look_that_fails_ends_no_looking_and_its_age_is_told(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = numbers()
    start(home, "canary", 1.0)
    until(client, "7", number)
    failing = threading.Event()

    def seen(file: Path) -> Any:
        if failing.is_set():
            raise PermissionError("the disk is away")
        return identity(file)

    monkeypatch.setattr("serving.live_models.live_rollouts.identity", seen)
    failing.set()
    time.sleep(1.5)
    [line] = [each for each in client.get("/metrics").text.splitlines() if each.startswith(AGE)]
    assert float(line.split()[-1]) > 1
    assert ask(client, next(number), 1)["model_version"] == "7"
    failing.clear()
    change(home, rollouts.of_use_case(home, "fraud", live=True)[0], "aborted", {})
    until(client, "3", number)


def test_what_is_taken_back_waits_for_no_model_that_is_loaded(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, loading, go_on = numbers(), threading.Event(), threading.Event()
    first = start(home, "canary", 1.0)
    until(client, "7", number)
    usual = LiveRollouts._loaded

    def slowly(own: LiveRollouts, arm: Any) -> Any:
        loading.set()
        assert go_on.wait(PATIENCE)
        return usual(own, arm)

    monkeypatch.setattr(LiveRollouts, "_loaded", slowly)
    rollouts.change(home, first, Change("aborted", {}, "", "me", NOW))
    exported_models.stage(home, 8, made(home, 8))
    staged = export_onnx.open_export(export_onnx.root(home, FRAUD) / "8")
    wanted = replace(first, name="another", arms=(Arm("other", 8, staged.bundle.sha256, staged.sha256),))
    rollouts.start(home, wanted, Change("started", {"other": 1.0}, "", "me", NOW), 1.0)
    published.publish(home, FRAUD)
    assert loading.wait(PATIENCE)
    until(client, "3", number)  # while the other one is loaded
    assert not go_on.is_set()
    go_on.set()
    until(client, "8", number)


def test_more_shadows_than_can_wait_are_dropped_and_counted(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_scores, "MOST_WAITING", 0)
    number = numbers()
    start(home, "canary", 1.0)
    until(client, "7", number)
    ask(client, next(number), 1)
    assert not logged(home, Shadow)
    lines = client.get("/metrics").text.splitlines()
    [dropped] = [line for line in lines if line.startswith('evergreen_shadows_dropped_total{use_case="fraud"}')]
    assert float(dropped.split()[-1]) > 0
