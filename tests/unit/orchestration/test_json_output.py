"""Every command that prints a table prints the same as JSON, and an empty list as a sentence."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from jobs import settings
from jobs.alerts import outbox
from jobs.backtesting import reproduce
from jobs.backtesting.reproduce import Compared
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.retraining import decisions
from jobs.secret import Secret
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import run_command
from orchestration.cli import main
from orchestration.commands import doctor
from orchestration.error_boundary import NOBODY
from orchestration.lineage_run import RunOutcome
from orchestration.printing import print_facts, print_json

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
LISTS = [("alerts",), ("retraining",), ("models",), ("review", "list"), ("inputs", "list")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    return settings.load()


def answered(*words: str, status: int = 0) -> Any:
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def leaves(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from leaves(each)
    else:
        yield command


def test_each_command_whose_file_prints_a_table_has_the_option() -> None:
    with_option = {
        str(leaf.callback.__module__)
        for leaf in leaves(main)
        if leaf.callback and any("--json" in parameter.opts for parameter in leaf.params)
    }
    modules = {str(leaf.callback.__module__) for leaf in leaves(main) if leaf.callback}
    for name in modules:
        source = inspect.getsource(sys.modules[name])
        assert name in with_option or not any(word in source for word in ("print_table", "print_facts", "Table(")), name
    assert "orchestration.commands.run" in with_option, "its tables are printed in orchestration.run_command"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("words", LISTS)
def test_an_empty_list_is_a_sentence_and_empty_json(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and result.stdout.strip().endswith("."), result.output
    assert len(result.stdout.splitlines()) == 1
    assert answered(*words) in ([], {"champions": [], "decisions": []})


def test_lists_hold_what_the_tables_hold(home: Settings) -> None:
    promotions.decide(
        home, PromotionDecision("fraud", NOW, NOW, "promotion", "promoted", "better", "run", True, 7, "a" * 64, None)
    )
    outbox.send(home, outbox.Alert("fraud", "change", "[/x]", "it\x1b[2J changed", "error", NOW), NOW)
    decisions.record_request(home, FRAUD, NOW, "anna", NOW)
    models = answered("models")
    assert models["champions"] == [
        {"version": 7, "alias": "champion", "since": NOW.isoformat(), "until": None, "decision": 1}
    ]
    assert models["decisions"][0]["reason"] == "better" and models["decisions"][0]["champion_before"] is None
    [alert] = answered("alerts")
    assert (alert["subject"], alert["raised_at"], alert["resolved_at"]) == ("[/x]", NOW.isoformat(), None)
    [training] = answered("retraining")
    assert (training["retrain"], training["by"], training["as_of"]) == (True, "anna", NOW.isoformat())


def test_doctor_and_reproduce_keep_their_exit_status(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    check = doctor.Check("Python", False, "3.9", "install it")
    monkeypatch.setattr(doctor, "examine", lambda _: iter([check]))
    assert answered("doctor", status=1) == [vars(check)]
    compared = [Compared("average_precision", 0.5, float("nan"), False)]
    monkeypatch.setattr(reproduce, "reproduce", lambda *_: compared)
    assert answered("reproduce", "1", status=1) == [{**vars(compared[0]), "found": None}]


@pytest.mark.parametrize("success", [True, False])
def test_a_run_is_told_as_json_alone(home: Settings, monkeypatch: pytest.MonkeyPatch, success: bool) -> None:
    registered_inputs.register(home, FRAUD, Inputs({}, NOW.date(), NOW.date()))
    assets = {"fraud/raw/transactions": {"dagster/row_count": 5, "delta_version": 2, "notes": "a\nb"}}
    outcome = RunOutcome("some-run", success, 1.5, {"a step": 1.0}, assets, ["a check"], [] if success else ["why"])
    monkeypatch.setattr(run_command, "_prepared", lambda _: lambda *_, **__: outcome)
    monkeypatch.setattr("orchestration.commands.run.end_at_once", sys.exit)
    monkeypatch.setattr("orchestration.partitions.between", lambda *_: (NOW.date(), NOW.date()))
    told = answered("run", status=NOBODY if success else 1)
    assert told["champion"] is None
    assert told["new"] and told["success"] is success and told["run_id"] == "some-run"
    assert told["assets"]["fraud/raw/transactions"] == {"rows": 5, "version": 2, "notes": ["a", "b"]}
    if success:
        again = answered("run", status=NOBODY)
        assert (again["new"], again["run_id"]) == (False, "some-run")


def test_json_is_json_whatever_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), float("inf"), 1.5, True, None], "b": (NOW, NOW.date()), 3: {Path("x")}})
    assert json.loads(capsys.readouterr().out) == {
        "a": [None, None, 1.5, True, None],
        "b": [NOW.isoformat(), "2026-11-22"],
        "3": ["x"],
    }


def test_secrets_are_hidden_in_texts_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Secret("pässwörd"), Secret("20261122")
    print_json({"said": "by pässwörd", "rows": 20261122})
    assert json.loads(capsys.readouterr().out) == {"said": "by ***", "rows": 20261122}


@pytest.mark.parametrize("width", ["1", "10", "200"])
def test_facts_fit_a_terminal_of_any_width(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    print_facts("title", {"last night": "success of a run", "engine": "asleep"})
    assert "success" in capsys.readouterr().out
