"""A home, a warehouse and input files whose names libraries would take for URLs, patterns or SQL."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs import settings
from jobs.lakehouse import engine
from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

RunHere = Callable[[Settings, list[str]], int]
Rows = Mapping[str, list[tuple[Any, ...]]]
NASTY = 'it\'s "my" *{hôme} e\u0301日 $HOME 50% ~&+;,=@!(x)`<y>'


@pytest.fixture
def nasty(tmp_path: Path) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path / "user"))
        own = settings.load({"EVERGREEN_HOME": str(tmp_path / "above" / NASTY)})
        yield own
        engine.stop(own)


@pytest.mark.usefixtures("dbt_parses")
@pytest.mark.timeout(900)
def test_a_run_in_a_home_of_any_accepted_name_leaves_nothing_beside_it(
    nasty: Settings, tmp_path: Path, run_here: RunHere, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    named = list(world)
    for at in (1, 3):
        given = Path(world[at])
        named[at] = str(tmp_path / "in" / f"my%20file #{at} [a]*?{given.suffix}")
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(given, named[at])
    assert run_here(nasty, named) == NOBODY
    assert tables(nasty.home) == clean
    assert [entry.name for entry in (tmp_path / "above").iterdir()] == [NASTY]
    assert {entry.name for entry in tmp_path.iterdir()} == {"above", "in", "user"}
    assert not [entry for entry in Path.cwd().iterdir() if "%20" in entry.name or entry.name == "file:"]
    assert (tmp_path / "above" / NASTY / "warehouse" / "fraud" / "transactions" / "_delta_log").is_dir()
