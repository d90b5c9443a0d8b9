"""Registered files are taken back one by one; the others stay registered."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.disturbed_runs import Trace

from jobs.actions import verdicts
from jobs.ingest import input_removal, registered_inputs
from jobs.ingest.input_files import find_files
from jobs.ingest.registered_inputs import Inputs
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

FORK = multiprocessing.get_context("fork")
NOW, DAY = datetime(2026, 5, 1, tzinfo=UTC), date(2026, 1, 1)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """A home whose transactions are a partitioned Delta table, and whose reports are two files."""
    days = pa.array([DAY, date(2026, 1, 2)])
    write_deltalake(str(tmp_path / "table"), pa.table({"n": [1, 2], "day": days}), partition_by=["day"])
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("a\n1\n")
    made = Settings(home=tmp_path / "home")
    _register(made, tmp_path, transactions=("table",), reports=("one.csv", "two.csv"))
    return made


def _register(own: Settings, folder: Path, **files: tuple[str, ...]) -> Inputs:
    paths = {name: tuple(str(folder / file) for file in named) for name, named in files.items()}
    return registered_inputs.register(own, FRAUD, Inputs(paths, DAY, DAY))


def _names(own: Settings) -> dict[str, list[str]]:
    inputs = registered_inputs.registered(own, FRAUD)
    assert inputs is not None
    return {name: [Path(file).name for file in files] for name, files in inputs.files.items()}


def test_a_table_stays_when_another_input_is_taken_back(own: Settings) -> None:
    input_removal.remove(own, FRAUD, ["one.csv"], NOW)
    assert _names(own) == {"transactions": ["table"], "reports": ["two.csv"]}


def test_a_table_is_one_input_and_can_be_taken_back(own: Settings, tmp_path: Path) -> None:
    [table] = [file for file in input_removal.files(own, FRAUD) if file.name == "transactions"]
    assert table.path == tmp_path / "table" and (table.size or 0) > 0
    input_removal.remove(own, FRAUD, [str(tmp_path / "table")], NOW)
    assert _names(own) == {"reports": ["one.csv", "two.csv"]}


def test_a_version_of_what_is_no_table_any_more_can_be_taken_back(own: Settings, tmp_path: Path) -> None:
    _register(own, tmp_path, transactions=("one.csv@3", "two.csv"))
    (tmp_path / "one.csv").unlink()
    (tmp_path / "one.csv").mkdir()
    input_removal.remove(own, FRAUD, ["one.csv@3"], NOW)
    assert _names(own) == {"transactions": ["two.csv"]}


def test_what_is_registered_meanwhile_is_not_lost(own: Settings, tmp_path: Path) -> None:
    removal = threading.Thread(target=input_removal.remove, args=(own, FRAUD, ["one.csv"], NOW), daemon=True)
    with registered_inputs.locked(own, FRAUD):
        removal.start()
        removal.join(0.5)
        inputs = registered_inputs.registered(own, FRAUD)
        assert inputs is not None
        (tmp_path / "three.csv").write_text("a\n1\n")
        reports = (*inputs.files["reports"], str(tmp_path / "three.csv"))
        registered_inputs.register(own, FRAUD, replace(inputs, files={**inputs.files, "reports": reports}))
    removal.join(60)
    assert _names(own) == {"transactions": ["table"], "reports": ["two.csv", "three.csv"]}


@pytest.mark.parametrize("others", [True, False])
def test_a_removal_killed_at_any_moment_leaves_what_can_be_read_and_nothing_comes_back(
    own: Settings, tmp_path: Path, others: bool
) -> None:
    folder = registered_inputs.verdict_folder(own, FRAUD)
    for moment in range(1, 100):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("gone.csv", "kept.csv")[: 1 + others]:
            (folder / name).write_text("a\n1\n")
        _register(own, tmp_path, transactions=("one.csv",), reports=("two.csv", str(folder)))
        process = FORK.Process(target=_killed_at, args=(own, moment))
        process.start()
        process.join()
        inputs = registered_inputs.registered(own, FRAUD)
        assert inputs is not None and all(path.exists() for name in inputs.files for path in inputs.paths(name))
        if (folder / "gone.csv").exists():
            input_removal.remove(own, FRAUD, ["gone.csv"], NOW)
        inputs = registered_inputs.registered(own, FRAUD)
        assert inputs is not None
        read = find_files(verdicts.joined(own, FRAUD, inputs).paths("reports"))
        assert [path.name for path in read] == ["two.csv", "kept.csv"][: 1 + others]
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert moment > 3


def _killed_at(own: Settings, moment: int) -> None:
    """Take a file back, killed before its n-th change of the home's files."""
    count = 0

    def act(name: str, path: str) -> None:
        nonlocal count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    Trace(str(own.home), act).start()
    input_removal.remove(own, FRAUD, ["gone.csv"], NOW)
