"""What looks keep of the log: read piece by piece it says what it says read whole, and nothing is read twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.rollout_log import promoted, started, write
from worlds.rollout_traffic import EQUAL, START, traffic

from jobs.decisions import base_tables, opened
from jobs.decisions.log_contents import Base
from jobs.ledger import rollouts
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.online.log_records import Record
from jobs.rollouts import logged as logged_module
from jobs.rollouts.logged import Logged, PairsOfLog
from jobs.rollouts.rollout_logs import RolloutLogs
from jobs.rollouts.shares import share_of
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

EVENTS = 60


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return promoted(Settings(home=tmp_path / "home"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rollout, list[Record]]:
    """The records of a canary at .3, some of whose answers failed."""
    home = promoted(Settings(home=tmp_path_factory.mktemp("written") / "home"))
    rollout = started(home, 0.3)
    write(home, rollout, traffic(replace(EQUAL, fails=0.2), 0.3, 1, EVENTS, 5))
    with opened.log_of(home, FRAUD) as log:
        return rollout, list(log.records())


@given(cuts=st.lists(st.integers(0, 3 * EVENTS), max_size=6), late=st.integers(8, 3 * EVENTS))
def test_pieces_come_to_the_whole(written: tuple[Rollout, list[Record]], cuts: list[int], late: int) -> None:
    rollout, records = written
    whole, pieces = Logged(FRAUD, rollout), Logged(FRAUD, rollout, late)
    whole.add(records)
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(records)], strict=True):
        pieces.add(records[low:high])
        pieces.close(rollout)
    assert _plain(pieces.of_arm(rollout, "new")) == _plain(whole.of_arm(rollout, "new"))


def _plain(found: PairsOfLog) -> dict[str, Any]:
    pairs = found.pairs
    sides = {
        f"{side} {name}": column for side in ("champion", "arm") for name, column in vars(getattr(pairs, side)).items()
    }
    columns = {**sides, **{name: getattr(found, name) for name in ("happened", "clusters", "amounts")}}
    columns |= {name: getattr(pairs, name) for name in ("ids", "stamps", "answered", "propensities")}
    return {name: np.asarray(column).astype(str).tolist() for name, column in columns.items()}


def test_what_becomes_columns_is_let_go(written: tuple[Rollout, list[Record]]) -> None:
    rollout, records = written
    found = Logged(FRAUD, rollout, late=10)
    found.add(records)
    found.close(rollout)
    assert len(found._answered) <= 10 and all(len(some) <= 10 for some in found._shadows.values())


def test_a_look_reads_what_is_new_and_a_later_rollout_the_log_once_more(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    usual = Logged._add

    def noting(self: Logged, record: Record) -> None:
        taken.append(record.id)
        usual(self, record)

    monkeypatch.setattr(logged_module.Logged, "_add", noting)
    first, logs = started(home), RolloutLogs(home, FRAUD)
    drawn = traffic(EQUAL, 0.1, 1, EVENTS, 5)
    write(home, first, drawn, last=40)
    assert len(logs.read([first])[first.id].of_arm(first, "new").pairs) == 40
    count = len(taken)
    assert len(logs.read([first])[first.id].of_arm(first, "new").pairs) == 40 and len(taken) == count
    write(home, first, drawn, first=40)
    assert len(logs.read([first])[first.id].of_arm(first, "new").pairs) == EVENTS
    assert len(taken) == len(set(taken)) > count
    second = replace(first, id=first.id + 1, log_stamp=int(drawn.pairs.stamps[50]))
    found = logs.read([first, second])
    assert len(found[first.id].of_arm(first, "new").pairs) == EVENTS
    assert logs.read([second]).keys() == {second.id}
    logs.close()


def test_a_log_is_not_trimmed_of_the_evidence_of_a_rollout(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base({}, microseconds(START) + 1, "", [])
    monkeypatch.setattr(base_tables, "reached", lambda *_: microseconds(START) + 10)
    assert opened._needed_from(home, FRAUD, base) == microseconds(START) + 10
    rollout = started(home, log_stamp=microseconds(START) - 5)
    assert opened._needed_from(home, FRAUD, base) == microseconds(START) - 5
    rollouts.change(home, rollout, Change("aborted", {}, "", "me", START))
    assert opened._needed_from(home, FRAUD, base) == microseconds(START) + 10


def _changed(*shares: dict[str, float]) -> Rollout:
    """A rollout of two arms whose shares change every hour."""
    arms = (Arm("one", 2, "b", "c"), Arm("two", 3, "b", "c"))
    changes = tuple(
        Change("changed", each, "", "me", START + timedelta(hours=n), number=n + 1) for n, each in enumerate(shares)
    )
    return Rollout("fraud", "r", {"kind": "ab"}, arms, 1, "a", 0, 1, START, 0, changes, id=1)


def _at(hours: float) -> int:
    return microseconds(START + timedelta(hours=hours))


def test_the_chance_of_an_arm_is_by_the_shares_of_the_moment() -> None:
    rollout = _changed({"one": 0.2, "two": 0.3}, {"one": 0.1, "two": 0.6}, {"two": 0.9})
    assert share_of(rollout, "one", "one", 0.2, _at(0.5)) == 0.2
    assert share_of(rollout, "one", "two", 0.3, _at(0.5)) == 0.2
    assert share_of(rollout, "two", "champion", 0.3, _at(1.5)) == 0.6
    # A worker that had not heard of the change yet, and one that was ahead of the clock of the ledger.
    assert share_of(rollout, "one", "two", 0.3, _at(1.0001)) == 0.2
    assert share_of(rollout, "one", "two", 0.6, _at(0.9999)) == 0.1
    assert share_of(rollout, "one", "two", 0.9, _at(2.5)) == 0.0


def test_of_one_arm_the_chance_is_what_was_logged() -> None:
    one = replace(_changed({"one": 0.2}, {"one": 0.5}), arms=(Arm("one", 2, "b", "c"),))
    assert share_of(one, "one", "champion", 0.8, _at(3)) == pytest.approx(0.2)
