"""Names of folders: whatever a folder is called, libraries see a plain name, and nothing is written beside it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from worlds.odd_names import NAMES, odd_names

from jobs import settings
from jobs.errors import Invalid
from jobs.path_alias import PLAIN

ROWS = pa.table({"a": [1], "b": [2]})


@pytest.fixture(scope="module", autouse=True)
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Links are made below the home of another user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
        yield


@given(name=odd_names(), exists=st.booleans())
def test_a_home_is_the_named_folder_under_a_plain_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, exists: bool
) -> None:
    above = tmp_path_factory.mktemp("above")
    if exists:
        (above / name).mkdir()
    home = settings.load({"EVERGREEN_HOME": str(above / name)}).home
    home.mkdir(exist_ok=True)
    (home / "file").write_text("kept")
    assert PLAIN.fullmatch(str(home)) and home.samefile(above / name)
    assert [entry.name for entry in above.iterdir()] == [name]
    assert (above / name / "file").read_text() == "kept"
    assert settings.load({"EVERGREEN_HOME": str(above / name)}).home == home


@examples(max_examples=10)
@given(name=odd_names())
@example(name="my%20home [a]")
@example(name="#?%")
def test_tables_can_be_written_below_a_folder_of_any_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    above = tmp_path_factory.mktemp("above")
    table = settings.load({"EVERGREEN_WAREHOUSE": str(above / name)}).warehouse + "/s/t"
    for _ in range(2):
        write_deltalake(table, ROWS, mode="append", partition_by=["a"])
    assert DeltaTable(table).to_pyarrow_table().num_rows == 2
    assert [entry.name for entry in above.iterdir()] == [name]
    assert (above / name / "s" / "t" / "_delta_log").is_dir()


def test_a_plain_home_keeps_its_name_and_is_not_made(tmp_path: Path) -> None:
    assert settings.load({"EVERGREEN_HOME": str(tmp_path / "plain-1.x")}).home == tmp_path / "plain-1.x"
    assert not (tmp_path / "plain-1.x").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_an_odd_folder_works(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    warehouse = settings.load({"EVERGREEN_WAREHOUSE": str(tmp_path / "link")}).warehouse
    write_deltalake(f"{warehouse}/s/t", ROWS)
    assert (tmp_path / name / "s" / "t" / "_delta_log").is_dir()


def test_a_folder_that_delta_rs_cannot_write_below_is_refused_as_it_is_if_it_holds_anything(tmp_path: Path) -> None:
    (tmp_path / "50%25").mkdir()
    (tmp_path / "50%25" / "mine").touch()
    with pytest.raises(Invalid, match=r"EVERGREEN_HOME: .*50%25.*not empty"):
        settings.load({"EVERGREEN_HOME": str(tmp_path / "50%25")})
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "50%25", tmp_path / "50%25" / "mine"]


def test_a_moved_name_goes_on_leading_to_its_tables_and_a_lost_folder_is_told(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "[a]")}).home
    (home / "file").touch()
    (tmp_path / "[a]").rename(tmp_path / "[b]")
    assert settings.load({"EVERGREEN_HOME": str(tmp_path / "[b]")}).home == home
    home.rename(tmp_path / "lost")
    with pytest.raises(Invalid, match=r"EVERGREEN_HOME: .*\[b\].*no folder"):
        settings.load({"EVERGREEN_HOME": str(tmp_path / "[b]")})


def test_a_folder_that_was_closed_to_others_stays_so(tmp_path: Path) -> None:
    (tmp_path / "[a]").mkdir(mode=0o700)
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "[a]")}).home
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["my home", "[a]"])
def test_a_cluster_elsewhere_gets_no_link_of_this_machine(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match=r"EVERGREEN_WAREHOUSE: .*SPARK_REMOTE"):
        settings.load({"EVERGREEN_HOME": str(tmp_path / name), "SPARK_REMOTE": "sc://cluster:15002"})


def test_links_are_private(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "my home")}).home
    assert home.parent.stat().st_uid == os.getuid()
