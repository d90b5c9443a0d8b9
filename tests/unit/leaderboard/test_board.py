"""Every model on the same latest mature rows: figures, roles, what cannot be measured, and what is not done twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from worlds.judged_models import promoted, trained
from worlds.judged_rows import TABLE, rows_in
from worlds.judged_world import AS_OF, BLIND, DAY, PROBLEM, USE_CASE, FileRegistry, write_training_set

from jobs import settings
from jobs.checks import leaderboard as checks
from jobs.evaluation import contenders, daily_scores, evaluation_rows
from jobs.lakehouse.tables import Lakehouse
from jobs.leaderboard import board as job
from jobs.leaderboard.board_table import Board
from jobs.leaderboard.standings import Standing
from jobs.ledger import training_costs
from jobs.models.runtime import score
from jobs.problem import Family
from jobs.registry.bundle import Bundle
from jobs.stats.metrics import average_precision
from jobs.training import family_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """A good model and a blind one."""
    folder, rows = tmp_path_factory.mktemp("models"), rows_in(40, 20)
    return [trained(folder / "good", rows), trained(folder / "blind", rows, BLIND)]


class World:
    """A home whose first champion was the second model, and whose champion is the first."""

    def __init__(self, folder: Path, models: list[Bundle]) -> None:
        self.lakehouse = write_training_set(settings.load({"EVERGREEN_HOME": str(folder / "home")}), TABLE)
        self.registry = FileRegistry(folder / "registry")
        for version, model in enumerate(reversed(models), 1):
            promoted(self.lakehouse.settings, self.registry, version, model, AS_OF - (2 - version) * DAY)

    def board(self) -> Board:
        board = job.current(self.lakehouse, USE_CASE, self.registry)
        assert board is not None
        return board


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, models: list[Bundle]) -> World:
    return World(tmp_path_factory.mktemp("shared"), models)


@pytest.fixture
def world(tmp_path: Path, models: list[Bundle]) -> World:
    return World(tmp_path, models)


def named(board: Board) -> dict[str, Standing]:
    return {each.model: each for each in board.standings}


def test_all_are_measured_on_the_judged_rows_and_the_best_is_first(shared: World, models: list[Bundle]) -> None:
    board = shared.board()
    roles = {each.model: each.role for each in board.standings}
    assert roles == {
        "version 2": "champion",
        "version 1": "former champion",
        "rule x1_then_amount": "baseline",
        "logistic regression": "baseline",
        "prevalence": "baseline",
    }
    version = shared.lakehouse.version(USE_CASE.training_set)
    assert version is not None
    rows = evaluation_rows.read(shared.lakehouse, USE_CASE, PROBLEM, version, AS_OF)
    for name, bundle in zip(("version 2", "version 1"), models, strict=True):
        expected = average_precision(rows.labels, contenders.scored(name, bundle, rows).scores)
        standing = named(board)[name]
        assert standing.value == pytest.approx(expected) and standing.lower < expected < standing.upper  # type: ignore[operator]
    assert named(board)["prevalence"].value == pytest.approx(rows.labels.mean())
    values = [each.value for each in board.standings]
    assert values == sorted(values, key=lambda value: -(value or 0))
    assert [each.place for each in board.standings] == [1, 2, 3, 4, 5]
    assert {each.rows for each in board.standings} == {len(rows)} == {board.about["rows"]}


def test_gains_are_differences_to_the_champion_with_an_interval(shared: World) -> None:
    board = named(shared.board())
    champion, blind = board["version 2"], board["version 1"]
    assert champion.gain is None and blind.gain == pytest.approx(blind.value - champion.value)  # type: ignore[operator]
    assert blind.gain_lower < blind.gain < blind.gain_upper < 0 and not blind.better  # type: ignore[operator]


def test_rows_in_another_order_give_the_same_figures(tmp_path: Path, shared: World, models: list[Bundle]) -> None:
    other = World(tmp_path, models)
    write_training_set(other.lakehouse.settings, TABLE.take(np.random.default_rng(1).permutation(len(TABLE))))
    figures = ("value", "lower", "upper", "gain", "gain_lower", "gain_upper")
    before, after = named(shared.board()), named(other.board())
    assert before.keys() == after.keys()
    for name, figure in product(before, figures):
        found, expected = getattr(after[name], figure), getattr(before[name], figure)
        assert found == expected or found == pytest.approx(expected, rel=1e-12), (name, figure)


def test_each_row_says_what_it_learned_and_what_it_costs(shared: World) -> None:
    training_costs.record(
        shared.lakehouse.settings, USE_CASE, named(shared.board())["version 1"].sha256 or "",
        {"seconds": 12.5, "cpu_seconds": 1, "gpu_seconds": 0, "peak_bytes": 1, "money": 0},
    )  # fmt: skip
    board = named(shared.board())
    for name in ("version 2", "rule x1_then_amount", "logistic regression"):
        each = board[name]
        assert each.trained_as_of == AS_OF and each.learned_until == AS_OF - 20 * DAY
        assert each.microseconds_per_row and each.request_milliseconds
    assert board["logistic regression"].training_seconds is not None
    assert board["version 2"].training_seconds is None, "this bundle was not trained by a run"
    assert board["prevalence"].microseconds_per_row is None


def test_a_lost_bundle_and_a_feature_that_is_gone_are_said_in_their_rows(
    world: World, tmp_path: Path, models: list[Bundle]
) -> None:
    odd = TABLE.append_column("gone", TABLE["x1"])
    times = odd["tx_datetime"].to_numpy()
    before = np.datetime64((AS_OF - 20 * DAY).replace(tzinfo=None), "us")
    promoted(
        world.lakehouse.settings, world.registry, 3, trained(tmp_path / "odd", odd.filter(times < before), ("gone",))
    )
    promoted(world.lakehouse.settings, world.registry, 4, models[0])
    shutil.rmtree(world.registry.folder / "1")
    board = named(world.board())
    assert board["version 4"].role == "champion" and board["version 4"].value is not None
    assert board["version 1"].value is None and "expected a bundle, found none" in board["version 1"].note
    assert board["version 3"].place is None and "its features ['gone'] are not in" in board["version 3"].note
    assert {outcome.passed for outcome in checks.judge(world.board())} == {True}


def test_who_learned_from_the_judged_rows_is_not_measured_on_them(world: World, tmp_path: Path) -> None:
    challenger = trained(tmp_path / "challenger", TABLE, recipe="half-life 7")
    world.registry.add(3, challenger)
    board = named(world.board())
    assert board["version 3"].role == "candidate" and board["version 3"].value is None
    assert "it learned from events until 2026-03-01" in board["version 3"].note


def test_a_champion_that_learned_from_a_part_is_measured_on_the_rest(world: World, tmp_path: Path) -> None:
    until = AS_OF - 10 * DAY
    later = trained(tmp_path / "later", rows_in(40, 10), learned_until=until.isoformat())
    promoted(world.lakehouse.settings, world.registry, 3, later)
    board = world.board()
    assert board.about["start"] == until.isoformat() and board.champion and board.champion.value is not None
    assert board.about["rows"] == rows_in(10, 5).num_rows
    assert all(each.rows == board.about["rows"] for each in board.standings)


def test_nothing_is_scored_or_trained_again_while_nothing_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []

    def counted(*given: object) -> object:
        scored.append(1)
        return score(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(daily_scores, "score", counted)
    first, days = world.board(), len(scored)
    assert days >= 4 * 10
    again = world.board()
    assert len(scored) == days and again.digest == first.digest
    for mine, theirs in zip(again.standings, first.standings, strict=True):
        assert replace(mine, microseconds_per_row=None, request_milliseconds=None) == replace(
            theirs, microseconds_per_row=None, request_milliseconds=None
        )
    write_training_set(world.lakehouse.settings, TABLE, AS_OF)
    assert job.current(Lakehouse(world.lakehouse.settings), USE_CASE, world.registry).digest != first.digest  # type: ignore[union-attr]


def test_a_family_that_lost_takes_part_as_it_was_kept(world: World, models: list[Bundle]) -> None:
    home, use_case = world.lakehouse.settings, replace(
        USE_CASE, problem=replace(PROBLEM, families=(Family("boosted"), Family("logistic")))
    )  # fmt: skip
    [lost] = [each for each in _board(world, use_case).standings if each.role == "family"]
    assert (lost.model, lost.value) == ("logistic", None) and "no model of it is kept" in lost.note
    folder = family_models.folder_of(home, use_case, "logistic")
    shutil.copytree(models[1].folder, folder)
    [kept] = [each for each in _board(world, use_case).standings if each.role == "family"]
    assert kept.value is not None and kept.note == ""
    (folder / "model.onnx").write_bytes(b"")
    [damaged] = [each for each in _board(world, use_case).standings if each.role == "family"]
    assert damaged.value is None and "damaged" in damaged.note


def _board(world: World, use_case: object) -> Board:
    board = job.current(world.lakehouse, use_case, world.registry)  # type: ignore[arg-type]
    assert board is not None
    return board


def test_checks_fail_for_a_champion_without_a_figure_and_for_one_that_is_beaten(
    world: World, models: list[Bundle]
) -> None:
    assert [outcome.passed for outcome in checks.judge(world.board())] == [True, True]
    promoted(world.lakehouse.settings, world.registry, 3, models[1])
    beaten = checks.judge(world.board())
    assert [outcome.passed for outcome in beaten] == [True, False]
    assert "former champion version 2 with" in beaten[1].text and beaten[1].check.severity == "warning"
    shutil.rmtree(world.registry.folder / "3")
    lost = checks.judge(world.board())
    assert not lost[0].passed and "its bundle cannot be read" in lost[0].text


def test_rows_without_a_positive_are_said_and_nothing_is_compared(tmp_path: Path, models: list[Bundle]) -> None:
    world = World(tmp_path, models)
    blank = TABLE.set_column(TABLE.column_names.index("is_fraud"), "is_fraud", [np.zeros(len(TABLE), bool)])
    write_training_set(world.lakehouse.settings, blank)
    board = job.current(Lakehouse(world.lakehouse.settings), USE_CASE, world.registry)
    assert board is not None and all(each.value is None for each in board.standings)
    assert "nothing can be compared yet" in board.about["notes"][-1]
    assert "not judged" in checks.judge(board)[0].text


def test_nobody_trained_and_no_training_set_are_no_board(tmp_path: Path) -> None:
    empty = Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}))
    assert job.lacking(empty, USE_CASE, None) == "there is no training set yet"
    lakehouse = write_training_set(empty.settings, TABLE)
    assert "later than this moment" in (job.lacking(lakehouse, USE_CASE, AS_OF - DAY) or "")
    assert job.current(lakehouse, USE_CASE, FileRegistry(tmp_path / "registry")) is None
