"""Small files that several processes write: a reader finds what one of them wrote, whole."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.state_files import read_arrays, replace_bytes, replace_json

WRITERS, TIMES = 4, 150


def test_writers_of_one_file_do_not_spoil_each_others_work(tmp_path: Path) -> None:
    file, failures = tmp_path / "state.json", list[BaseException]()

    def write(number: int) -> None:
        try:
            for _ in range(TIMES):
                replace_json(file, {"by": number, "more": [number] * 5_000})
                content: dict[str, Any] = json.loads(file.read_text())
                assert set(content["more"]) == {content["by"]}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_files_that_differ_in_their_ending_only_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "result.tmp").write_text("mine")
    replace_bytes(tmp_path / "result.json", b"{}")
    assert (tmp_path / "result.tmp").read_text() == "mine"


def test_what_cannot_be_put_in_its_place_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_bytes(tmp_path / "state.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_arrays_that_were_cut_off_are_none(tmp_path: Path, share: float) -> None:
    file, content = tmp_path / "arrays.npz", io.BytesIO()
    assert read_arrays(file) is None
    np.savez(content, some=np.arange(1000))
    file.write_bytes(content.getvalue())
    assert (read_arrays(file) or {})["some"].sum() == 499_500
    file.write_bytes(content.getvalue()[: int(len(content.getvalue()) * share)])
    assert read_arrays(file) is None


def test_arrays_of_which_a_byte_changed_are_none(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, some=np.arange(1000))
    changed = bytearray(content.getvalue())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "arrays.npz").write_bytes(changed)
    assert read_arrays(tmp_path / "arrays.npz") is None
