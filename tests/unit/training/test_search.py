"""A search repeats: whatever the timing, however often it is killed, in whichever process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds.small_search import GRID, SEARCH, SPACE, objective, said

from jobs.models.protocol import StepReport
from jobs.settings import ROOT
from jobs.training import search as study
from jobs.training import trials as stored
from jobs.training.search import TuningFailed


def jittery(parameters: Mapping[str, Any], report: StepReport) -> Mapping[str, float]:
    time.sleep((os.getpid() * 7 + threading.get_ident() + time.perf_counter_ns()) % 7 / 500)
    return objective(parameters, report)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_the_same_seed_gives_the_same_trials_whatever_their_timing(tmp_path: Path, sampler: Any, pruner: Any) -> None:
    search = replace(SEARCH, sampler=sampler, pruner=pruner, space=GRID if sampler == "grid" else SPACE)
    first = study.run(search, objective, tmp_path / "a")
    second = study.run(search, jittery, tmp_path / "b")
    assert said(first) == said(second) and len(first) == 16
    assert stored.load("demo", tmp_path / "a") == first
    other = study.run(replace(search, seed=4), objective, tmp_path / "c")
    assert said(other) != said(first)


def test_a_grid_visits_every_point_once(tmp_path: Path) -> None:
    trials = study.run(replace(SEARCH, space=GRID, sampler="grid", trials=100), objective, tmp_path)
    points = {tuple(trial.parameters.values()) for trial in trials}
    assert len(trials) == len(points) == 3 * 3 * 2


def test_a_grid_over_a_range_without_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a `step`"):
        study.run(replace(SEARCH, sampler="grid"), objective, tmp_path)


def test_tpe_finds_a_better_place_than_its_random_start(tmp_path: Path) -> None:
    trials = study.run(replace(SEARCH, trials=40, pruner="none"), objective, tmp_path)
    start = max(t.value or 0 for t in trials[:10])
    found = stored.best(trials)
    assert (found.value or 0) > max(start, 0.9)
    assert abs(found.parameters["x"] - 1) < 1 and found.parameters["kind"] == "plain"


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_poor_trials_are_stopped_early_and_good_ones_are_not(tmp_path: Path, pruner: Any) -> None:
    trials = study.run(replace(SEARCH, trials=30, pruner=pruner, sampler="random"), objective, tmp_path)
    pruned = [t for t in trials if t.state == "pruned"]
    assert pruned and all(max(t.curve) < 30 for t in pruned)
    assert stored.best(trials).state == "complete"
    reached = {t.number: 1 - (t.parameters["x"] - 1) ** 2 / 16 for t in trials}
    assert sum(reached[t.number] for t in pruned) / len(pruned) < sum(reached.values()) / len(reached)


def test_a_trial_that_raises_fails_alone_and_all_failing_is_an_error(tmp_path: Path) -> None:
    def sometimes(parameters: Mapping[str, Any], report: StepReport) -> Mapping[str, float]:
        if parameters["kind"] == "steep":
            raise ValueError("no steep ones today")
        return objective(parameters, report)

    trials = study.run(SEARCH, sometimes, tmp_path)
    failed = [t for t in trials if t.state == "fail"]
    assert failed and {t.parameters["kind"] for t in failed} == {"steep"}
    assert all("no steep ones today" in t.error for t in failed)
    with pytest.raises(TuningFailed, match="no steep ones today"):
        study.run(replace(SEARCH, name="other", space={"kind": ("steep",)}), sometimes, tmp_path)


def test_finished_trials_are_not_run_again_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    study.run(SEARCH, objective, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 16) for done in range(1, 17)]

    def never(parameters: Mapping[str, Any], report: StepReport) -> Mapping[str, float]:
        raise AssertionError("ran again")

    assert [t.state for t in study.run(SEARCH, never, tmp_path)].count("fail") == 0


SCRIPT = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from worlds import small_search as demo
from jobs.settings import ROOT
from jobs.training import search as study

def slow(parameters, report):
    time.sleep({pause})
    return demo.objective(parameters, report)

trials = study.run(demo.SEARCH, slow, Path(sys.argv[1]), progress=lambda done, total: print(done, flush=True))
print(json.dumps(demo.said(trials)))
"""


def process(folder: Path, pause: float, **environment: str) -> subprocess.Popen[str]:
    script = SCRIPT.format(folder=str(ROOT / "tests"), pause=pause)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_search_killed_mid_trial_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = study.run(SEARCH, objective, tmp_path / "whole")
    for done in ("3", "9"):
        with process(tmp_path / "killed", 0.1) as killed:
            assert killed.stdout is not None
            for line in killed.stdout:
                if line.strip() == done:
                    break
            time.sleep(0.05)
            killed.send_signal(signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
    assert 9 <= len(stored.load("demo", tmp_path / "killed")) < 16
    assert said(study.run(SEARCH, objective, tmp_path / "killed")) == said(whole)


def test_a_search_does_not_depend_on_the_process_hash_seed(tmp_path: Path) -> None:
    found = []
    for seed in ("1", "2"):
        with process(tmp_path / seed, 0, PYTHONHASHSEED=seed) as other:
            output, _ = other.communicate()
        found.append(json.loads(output.splitlines()[-1]))
    assert found[0] == found[1] and len(found[0]) == 16
