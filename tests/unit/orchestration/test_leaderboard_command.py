"""What `evergreen leaderboard` prints: two tables within 80 columns, what is wrong in words, and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from worlds.judged_models import promoted, trained
from worlds.judged_rows import TABLE, rows_in
from worlds.judged_world import BLIND, USE_CASE, FileRegistry, write_training_set

from jobs import settings
from jobs.registry import model_versions
from orchestration.cli import main
from orchestration.commands import leaderboard as command


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FileRegistry]:
    """A home with a champion whose predecessor's bundle is lost."""
    folder = tmp_path_factory.mktemp("board")
    own, registry = settings.load({"EVERGREEN_HOME": str(folder / "home")}), FileRegistry(folder / "registry")
    write_training_set(own, TABLE)
    for version, names in enumerate((BLIND, ("tx_amount", "x1", "x2")), 1):
        promoted(own, registry, version, trained(folder / f"model{version}", rows_in(40, 20), names))
    shutil.rmtree(registry.folder / "1")
    return own.home, registry


@pytest.fixture
def answered(world: tuple[Path, FileRegistry], monkeypatch: pytest.MonkeyPatch) -> str:
    home, registry = world
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    monkeypatch.setattr(command, "use_case_named", lambda _: USE_CASE)
    for name in ("fetch", "latest_candidate"):
        monkeypatch.setattr(model_versions, name, getattr(registry, name))
    return "leaderboard"


def printed(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_tables_fit_80_characters_and_each_model_has_one_line(answered: str) -> None:
    text = printed(answered)
    lines = text.splitlines()
    tables = [line for line in lines if "its bundle cannot be read" not in line]
    assert max(map(len, tables)) <= 80, text
    assert sum("version 2, boosted" in line for line in lines) == 2
    assert [line for line in lines if "prevalence" in line and "baseline" in line]
    assert "version 1 (former champion): its bundle cannot be read: version 1: expected a bundle" in text


def test_json_holds_every_field_of_every_model(answered: str) -> None:
    told = json.loads(printed(answered, "--json"))
    assert told["objective"] == "average_precision" and told["rows"] == rows_in(15, 5).num_rows
    by_name = {each["model"]: each for each in told["models"]}
    assert [each["place"] for each in told["models"]] == [1, 2, 3, 4, None]
    assert by_name["version 2"]["microseconds_per_row"] > 0
    assert by_name["version 1"]["value"] is None and by_name["version 1"]["role"] == "former champion"
    assert printed(answered, "--details").count("learned until") == 4


def test_without_a_model_it_says_what_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    assert printed("leaderboard").startswith("No model of fraud was trained yet;")
    assert json.loads(printed("leaderboard", "--json")) == {}
