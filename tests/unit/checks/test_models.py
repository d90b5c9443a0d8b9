"""Models that are no better than chance, too good to be true, damaged, or not those that were meant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.judged_world import AS_OF, USE_CASE, FileRegistry, fitted, table_of

from jobs import settings
from jobs.checks import models
from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision
from jobs.models.features import values_of
from jobs.models.tables import examples_of
from jobs.promotion import export_onnx
from jobs.registry.bundle import GRAPH, Bundle
from jobs.settings import Settings
from jobs.training.compute_cost import Cost
from jobs.training.train import Trained, ValidatedContender
from jobs.training.trials import Trial
from jobs.training.tune import Tuning

TABLE = table_of(seed=1, rows=2_000)
NAMES = ("tx_amount", "x1", "x2", "x3")
LOGISTIC: dict[str, Any] = {"family": "logistic", "parameters": {}}
ROWS = values_of(examples_of(TABLE, NAMES, "is_fraud").features)
LABELS = np.arange(400) % 20 == 0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("models")
    return [fitted(folder / str(n), table_of(seed=n, rows=2_000), NAMES, **LOGISTIC) for n in range(2)]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def trained(bundle: Bundle, scores: Any, suspicion: str = "") -> Trained:
    winner = ValidatedContender("boosted", "family", {}, np.asarray(scores, np.float64), {})
    return Trained(bundle, (winner,), winner, {}, LABELS, {}, Cost(), {}, suspicion)


def ledger(version: int, bundle: Bundle) -> LedgerView:
    return LedgerView([Champion("fraud", version, bundle.sha256, AS_OF, None, 1)], [])


def trial(value: float | None, state: str = "complete") -> Trial:
    return Trial(0, {}, state, value, {}, {})


def test_a_candidate_has_to_rank_better_than_chance(bundles: list[Bundle]) -> None:
    good, bad = (models.of_training(trained(bundles[0], sign * LABELS))[0] for sign in (1.0, -1.0))
    assert good.passed and not bad.passed and "above 0.0500" in bad.text


def test_a_candidate_may_not_be_too_good(bundles: list[Bundle]) -> None:
    outcomes = models.of_training(trained(bundles[0], LABELS, "x1 alone has average precision 1.0000"))
    assert [each.passed for each in outcomes] == [True, False] and "x1 alone" in outcomes[1].found


@pytest.mark.parametrize(
    ("trials", "passed"),
    [((trial(0.2), trial(0.4)), True), ((trial(0.04),), False), ((trial(0.9, "pruned"),), False), ((), False)],
    ids=["better", "no better than chance", "none ended", "none"],
)
def test_every_family_has_to_beat_chance(trials: tuple[Trial, ...], passed: bool) -> None:
    tuning = Tuning("", "searched", prevalence=0.05, trials={"logistic": (trial(0.5),), "boosted": trials})
    assert models.trials_beat_chance(tuning).passed is passed


def test_parameters_that_were_taken_over_are_not_judged() -> None:
    outcome = models.trials_beat_chance(Tuning("", "rows changed little", reused=True))
    assert outcome.passed and outcome.text == "not judged: rows changed little"


def test_a_champion_that_is_whole_loads(home: Settings, tmp_path: Path, bundles: list[Bundle]) -> None:
    registry = FileRegistry(tmp_path / "registry")
    registry.add(1, bundles[0])
    assert models.champion_loads(home, USE_CASE, registry, ledger(1, bundles[0])).passed
    assert "no champion yet" in models.champion_loads(home, USE_CASE, registry, LedgerView([], [])).text


def test_a_damaged_or_another_champion_holds_back_what_follows(
    home: Settings, tmp_path: Path, bundles: list[Bundle]
) -> None:
    registry = FileRegistry(tmp_path / "registry")
    registry.add(1, bundles[0])
    other = models.champion_loads(home, USE_CASE, registry, ledger(1, bundles[1]))
    missing = models.champion_loads(home, USE_CASE, registry, ledger(2, bundles[0]))
    graph = tmp_path / "registry" / "1" / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    damaged = models.champion_loads(home, USE_CASE, registry, ledger(1, bundles[0]))
    assert all(not each.passed and each.holds_back for each in (other, missing, damaged))


def test_an_approval_has_to_bring_the_version_into_production(bundles: list[Bundle]) -> None:
    decision = PromotionDecision(
        "fraud", AS_OF, AS_OF, "approval", "promoted", "", "anna", True, 2, bundles[0].sha256, None
    )
    assert models.in_production(decision, ledger(2, bundles[0])).passed
    assert not models.in_production(decision, ledger(1, bundles[0])).passed
    assert not models.in_production(replace(decision, outcome="refused"), LedgerView([], [])).passed


def test_the_exported_model_has_to_score_as_the_champion(home: Settings, bundles: list[Bundle]) -> None:
    online = export_onnx.export(home, USE_CASE, 1, bundles[0], ROWS, ROWS[:, 0] > 0)
    assert models.parity(online, 1, bundles[0], ROWS).passed
    another = models.parity(online, 1, bundles[1], ROWS)
    assert not another.passed and "another model" in another.found and another.numbers["rows"] == models.COMPARED_ROWS
    assert not models.parity(online, 2, bundles[0], ROWS).passed


def test_a_difference_that_was_written_down_at_the_export_counts(home: Settings, bundles: list[Bundle]) -> None:
    online = export_onnx.export(home, USE_CASE, 1, bundles[0], ROWS, ROWS[:, 0] > 0)
    manifest = json.loads(json.dumps(dict(online.manifest))) | {"parity": {"1": 0.01}}
    outcome = models.parity(replace(online, manifest=manifest), 1, bundles[0], ROWS)
    assert not outcome.passed and outcome.numbers["largest_difference"] == 0.01
