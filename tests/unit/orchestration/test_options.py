"""Commands take the inputs of any use case, and speak of none in particular."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration.cli import main

INPUTS = {source.input for use_case in USE_CASES for source in use_case.sources}
OF_A_USE_CASE = {c.name for use_case in USE_CASES for source in use_case.sources for c in source.columns} | INPUTS
READ_FILES = ("backtest", "check", "replay", "run")
SEND_FILES = ("stream produce",)


def commands(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield path + name, command


@pytest.mark.parametrize("name", READ_FILES)
def test_a_command_that_reads_files_takes_those_of_every_use_case(name: str) -> None:
    declared = {option for parameter in main.commands[name].params for option in parameter.opts}
    assert {f"--{each}" for each in INPUTS} | {"--use-case", "--columns"} <= declared


@pytest.mark.parametrize("name", [name for name, _ in commands() if name not in (*READ_FILES, *SEND_FILES, "simulate")])
def test_no_other_command_asks_for_what_only_one_use_case_has(name: str) -> None:
    command = dict(commands())[name]
    named = {(parameter.metavar or parameter.name or "").lower() for parameter in command.params}
    assert not named & OF_A_USE_CASE


@pytest.mark.parametrize("use_case", USE_CASES, ids=lambda each: each.name)
def test_an_input_of_another_use_case_is_refused_with_those_that_there_are(use_case: UseCase, tmp_path: object) -> None:
    file = f"{tmp_path}/any.parquet"
    open(file, "w").close()
    other = next(iter(INPUTS - {source.input for source in use_case.sources}))
    arguments = ["run", "--use-case", use_case.name, f"--{other}", file]
    result = CliRunner(env={"EVERGREEN_HOME": f"{tmp_path}/home"}).invoke(main, arguments)
    names = ", ".join(sorted(source.input for source in use_case.sources))
    assert result.exit_code == 1 and f"expected inputs among {names}, found" in result.stderr
