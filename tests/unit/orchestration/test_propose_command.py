"""`evergreen propose` writes a project or says in one line why it cannot, and leaves nothing behind then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from worlds import strangers

from orchestration.cli import main

REFUSED = {
    "empty.csv": ("", "found an empty file"),
    "header.csv": ("when,what\n", "found a header alone"),
    "one.csv": ("when\n2026-01-01\n", "found 1 (when)"),
    "twice.csv": ("a,a\n1,2\n", "distinct column names"),
    "no_time.csv": ("a,b\n1,2\n3,4\n", "none of them a time"),
    "same_time.csv": ("day,b\n2026-01-01,2\n2026-01-01,4\n", "of one moment"),
    "to_come.csv": ("day,b\n2126-01-01,2\n2127-01-01,4\n", "found later ones alone"),
    "book.xlsx": ("PK", "rename or convert"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def proposed(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["propose", *arguments])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, why = REFUSED[name]
    (tmp_path / name).write_text(text)
    result = proposed("--table", name, "--name", "mine")
    assert result.exit_code == 1 and why in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def test_a_folder_with_files_and_a_name_of_ours_are_refused_before_the_file_is_read(tmp_path: Path) -> None:
    file = str(strangers.unlabelled(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("")
    assert "found" in proposed("--table", file, "--name", "mine").stderr
    assert "expected a name" in proposed("--table", file, "--name", "fraud").stderr
    assert "expected one file" in proposed("--table", file, "--transactions", file).stderr


def test_columns_that_a_person_names_take_their_roles(tmp_path: Path) -> None:
    file = str(strangers.russian(tmp_path))
    said = json.loads(proposed("--table", file, "--label", "магазин", "--name", "mine", "--json").stdout or "{}")
    assert said == {}, "forty shops are no label"
    done = proposed("--transactions", file, "--name", "mine", "--json", "--time", "время", "--key", "номер")
    said = json.loads(done.stdout)
    assert {row["column"]: row["role"] for row in said["columns"]}["мошенничество"] == "label"
    assert said["rows"] == strangers.ROWS and Path(said["folder"], "use_cases", "mine.py").exists()
    assert "expected one column" in proposed("--table", file, "--name", "other", "--time", "when").stderr
    assert "expected a column of times" in proposed("--table", file, "--name", "other", "--time", "сумма").stderr


def test_what_it_says_is_what_a_person_has_to_look_at(tmp_path: Path) -> None:
    told = proposed("--table", str(strangers.american(tmp_path)), "--name", "mine").stdout
    assert "row_id is made of what each row holds" in told and "Reason is no feature" in told
    assert "evergreen run" in told
