"""Twins, planted gains and broken slices through whole evaluations, a few each; `bench/gate.py` does 200."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds.judged_world import (
    AS_OF,
    BLIND,
    BLURRED,
    BOOSTED,
    FEATURES,
    PROBLEM,
    USE_CASE,
    fitted,
    table_of,
    with_broken_slice,
    write_training_set,
)

from jobs import settings
from jobs.evaluation import seed_noise as training_noise
from jobs.evaluation.evaluate import ContenderVersion, evaluate
from jobs.evaluation.verdict import GateVerdict
from jobs.models.tables import examples_of
from jobs.registry.bundle import Bundle

TRAIN = table_of(seed=10**6, rows=15_000)
Judge = Callable[[int, Bundle, Bundle], GateVerdict]


@pytest.fixture(scope="module")
def noise() -> float:
    rows = [examples_of(table, FEATURES, "is_fraud") for table in (TRAIN, table_of(seed=10**6 + 1, rows=20_000))]
    return training_noise.measure("boosted", BOOSTED, *rows)


@pytest.fixture
def judge(tmp_path: Path, noise: float) -> Judge:
    """The verdict about a candidate and a champion, on rows of a world of its own."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    use_case = replace(USE_CASE, problem=replace(PROBLEM, limits=replace(PROBLEM.limits, training_noise=noise)))

    def judged(world: int, candidate: Bundle, champion: Bundle) -> GateVerdict:
        lakehouse = write_training_set(own, table_of(seed=world, rows=40_000), use_case=use_case)
        return evaluate(lakehouse, use_case, ContenderVersion(2, candidate), ContenderVersion(1, champion), AS_OF)

    return judged


def gains(verdicts: list[GateVerdict]) -> list[float]:
    return [float(verdict.evidence["checks"]["better_than_champion"]["difference"]) for verdict in verdicts]


def test_seed_twins_differ_and_are_hardly_ever_promoted(judge: Judge, tmp_path: Path, noise: float) -> None:
    twins = [fitted(tmp_path / f"twin{seed}", TRAIN, seed=1000 + seed) for seed in range(6)]
    verdicts = [judge(n, twins[n], twins[n - 1]) for n in range(6)]
    assert sum(verdict.promoted for verdict in verdicts) <= 1
    assert 0 < noise < 0.02 and 0 < np.std(gains(verdicts)) < 0.03


def test_a_planted_gain_is_promoted(judge: Judge, tmp_path: Path) -> None:
    good, blurred = fitted(tmp_path / "good", TRAIN), fitted(tmp_path / "blurred", TRAIN, BLURRED)
    verdicts = [judge(n, good, blurred) for n in range(5)]
    assert np.mean(gains(verdicts)) == pytest.approx(0.03, abs=0.01)
    assert sum(verdict.promoted for verdict in verdicts) >= 4


def test_a_broken_slice_is_refused_although_better_overall(judge: Judge, tmp_path: Path) -> None:
    broken = fitted(tmp_path / "broken", with_broken_slice(TRAIN))
    blind = fitted(tmp_path / "blind", TRAIN, BLIND)
    verdicts = [judge(n, broken, blind) for n in range(3)]
    assert np.mean(gains(verdicts)) > 0
    assert not any(verdict.promoted for verdict in verdicts)
    assert all(reason.startswith("slice small is worse") for verdict in verdicts for reason in verdict.reasons[-1:])
