"""What a killed process left unfinished is removed, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import unfinished
from jobs.settings import ROOT
from jobs.state_files import replace_json

WORKING = """
import sys
from pathlib import Path
from jobs import unfinished
with (
    unfinished.file_beside(Path(sys.argv[1]) / "state.json") as file,
    unfinished.folder_beside(Path(sys.argv[1]) / "model") as folder,
    unfinished.scratch(Path(sys.argv[1])) as scratch,
):
    file.write_text("half")
    (folder / "graph").write_text("half")
    (scratch / "below").mkdir()
    print("working", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def working(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WORKING, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stdout.readline() == "working\n"
        yield process


def test_what_a_live_process_works_on_stays_and_what_a_killed_one_left_goes(
    tmp_path: Path, working: subprocess.Popen[str]
) -> None:
    left = set(tmp_path.iterdir())
    assert len(left) == 3 and not unfinished.sweep(tmp_path) and set(tmp_path.iterdir()) == left
    working.send_signal(signal.SIGKILL)
    working.wait()
    assert set(tmp_path.iterdir()) == left
    assert set(unfinished.sweep(tmp_path)) == left and not list(tmp_path.iterdir())


def test_what_ended_well_leaves_nothing(tmp_path: Path, working: subprocess.Popen[str]) -> None:
    working.communicate("")
    assert working.returncode == 0 and not list(tmp_path.iterdir())


def test_only_our_own_names_are_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own = f".state.json.0123456789ab{unfinished.SUFFIX}"
    others = {".state.json.0123456789ab.tmp", f"state{unfinished.SUFFIX}", f"{own}.bak", own.replace("9ab", "9aX")}
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / own).symlink_to(elsewhere)
    (elsewhere / own).write_text("half")
    assert unfinished.sweep_below(tmp_path, {elsewhere}) == [] and (elsewhere / own).exists()
    assert unfinished.sweep_below(tmp_path) == [elsewhere / own]
    assert {path.name for path in tmp_path.iterdir()} == {*others, own, "elsewhere"}


def test_names_of_any_length_can_be_replaced(tmp_path: Path) -> None:
    for name in ("a" * 255, "ż" * 127, "\N{SNOWMAN}" * 85):
        replace_json(tmp_path / name, {})
        assert (tmp_path / name).read_text() == "{}"


def test_sweeping_all_the_time_disturbs_nobody_who_writes(tmp_path: Path) -> None:
    done, failures = threading.Event(), list[BaseException]()

    def sweeping() -> None:
        while not done.is_set():
            unfinished.sweep(tmp_path)

    def writing(number: int) -> None:
        try:
            for times in range(100):
                replace_json(tmp_path / f"{number}.json", times)
                with unfinished.folder_beside(tmp_path / "model") as folder:
                    (folder / "graph").write_text("half")
                    folder.rename(tmp_path / f"{number} {times}")
        except BaseException as error:
            failures.append(error)

    sweepers = [threading.Thread(target=sweeping) for _ in range(2)]
    writers = [threading.Thread(target=writing, args=(number,)) for number in range(2)]
    for thread in sweepers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sweepers:
        thread.join()
    assert not failures
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"0.json", "1.json"}
    assert len(list(tmp_path.glob("*/graph"))) == 200


def test_the_folder_for_temporary_files_is_swept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"evergreen.0123456789ab{unfinished.SUFFIX}"
    left.mkdir()
    with unfinished.scratch() as own:
        assert unfinished.sweep() == [left] and own.exists()
