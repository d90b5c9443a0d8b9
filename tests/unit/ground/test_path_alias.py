"""Names of folders: refused before anything is written, or the same folder under a name that no library misreads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import settings
from jobs.errors import Invalid
from jobs.path_alias import PLAIN, REFUSED


@pytest.fixture(scope="module", autouse=True)
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Links are made below the home of another user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
        yield


ODD = st.text(st.sampled_from("ab '\"#%?&+;[]*{}\\$~é日`<>|^=@:,()!-\u0301"), min_size=1, max_size=12).filter(
    lambda name: "://" not in name
)


@given(name=ODD)
def test_a_home_is_refused_unwritten_or_is_the_named_folder_under_a_plain_name(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    above = tmp_path_factory.mktemp("above")
    if set(name) & set(REFUSED):
        with pytest.raises(Invalid) as raised:
            settings.load({"EVERGREEN_HOME": str(above / name)})
        assert "\n" not in str(raised.value) and list(above.iterdir()) == []
        return
    home = settings.load({"EVERGREEN_HOME": str(above / name)}).home
    home.mkdir(exist_ok=True)
    assert PLAIN.fullmatch(str(home))
    assert [entry.name for entry in above.iterdir()] == [name]
    assert home.samefile(above / name)
    assert settings.load({"EVERGREEN_HOME": str(above / name)}).home == home


def test_a_plain_home_keeps_its_name_and_is_not_made(tmp_path: Path) -> None:
    assert settings.load({"EVERGREEN_HOME": str(tmp_path / "plain-1.x")}).home == tmp_path / "plain-1.x"
    assert not (tmp_path / "plain-1.x").exists()


def test_a_link_to_a_refused_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "50%").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "50%")
    with pytest.raises(Invalid, match=r"EVERGREEN_WAREHOUSE: .*50%"):
        settings.load({"EVERGREEN_HOME": str(tmp_path / "h"), "EVERGREEN_WAREHOUSE": str(tmp_path / "link")})


def test_a_cluster_elsewhere_gets_no_link_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"EVERGREEN_WAREHOUSE: .*SPARK_REMOTE"):
        settings.load({"EVERGREEN_HOME": str(tmp_path / "my home"), "SPARK_REMOTE": "sc://cluster:15002"})


def test_links_are_private(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "my home")}).home
    assert home.parent.stat().st_uid == os.getuid()
