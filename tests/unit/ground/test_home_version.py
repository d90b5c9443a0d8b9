"""A home is brought to the version of this Evergreen; one of a newer Evergreen is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import home_version, settings
from jobs.settings import Settings
from orchestration.cli import main


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def _write(own: Settings, text: str) -> None:
    own.home.mkdir(parents=True, exist_ok=True)
    (own.home / "version.json").write_text(text)


def test_a_home_of_before_versions_is_upgraded_step_by_step(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    monkeypatch.setattr(home_version, "HOME_VERSION", 3)
    monkeypatch.setattr(home_version, "UPGRADES", {n: lambda _, n=n: steps.append(n) for n in (1, 2, 3)})
    own.state.mkdir(parents=True)
    home_version.upgrade(own)
    home_version.upgrade(own)
    assert steps == [1, 2, 3] and json.loads((own.home / "version.json").read_text()) == {"version": 3}


def test_an_upgrade_that_was_interrupted_is_done_again(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    def second(_: Settings) -> None:
        steps.append(2)
        if len(steps) == 2:
            raise OSError

    monkeypatch.setattr(home_version, "HOME_VERSION", 2)
    monkeypatch.setattr(home_version, "UPGRADES", {1: lambda _: steps.append(1), 2: second})
    own.state.mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011
        home_version.upgrade(own)
    assert home_version.of_home(own) == 1
    home_version.upgrade(own)
    assert steps == [1, 2, 2] and home_version.of_home(own) == 2


def test_a_home_that_does_not_exist_is_not_made(own: Settings) -> None:
    home_version.upgrade(own)
    assert not own.home.exists()


@pytest.mark.parametrize("command", [["engine", "stop"], ["inputs", "list"], ["models"], ["maintain"]])
def test_every_command_refuses_a_newer_home(own: Settings, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    _write(own, '{"version": 2}')
    monkeypatch.setenv("EVERGREEN_HOME", str(own.home))
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert result.output.count("\n") == 1 and "found version 2, which a newer Evergreen wrote" in result.output
    assert [path.name for path in own.home.iterdir()] == ["version.json"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": "1"}', '{"version": -1}', '{"version": true}'])
def test_a_damaged_version_is_named(own: Settings, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    _write(own, text)
    monkeypatch.setenv("EVERGREEN_HOME", str(own.home))
    result = CliRunner().invoke(main, ["engine", "stop"])
    assert result.exit_code == 1 and "version.json: expected what Evergreen wrote there" in result.output
