"""`evergreen leaderboard`: parsing and printing; the board is made in `jobs.leaderboard.board`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import details_option, json_option, print_details, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.leaderboard.board_table import Board


@click.command()
@use_case_option
@details_option
@json_option
def leaderboard(name: str, details: bool, as_json: bool) -> None:
    """Print every model on the same latest mature rows: champions, candidate, families and baselines, best first."""
    from jobs.lakehouse.tables import attach
    from jobs.leaderboard import board as job
    from jobs.registry import model_versions

    lakehouse, use_case = attach(settings.load()), use_case_named(name)
    nothing = use_case.learned is None or job.lacking(lakehouse, use_case, None)
    board = None if nothing else job.current(lakehouse, use_case, model_versions)
    if as_json:
        print_json({} if board is None else {**board.about, "models": [asdict(each) for each in board.standings]})
    elif board is None:
        say(f"No model of {name} was trained yet; `evergreen run` trains and judges the first one.")
    elif details:
        print_details(_title(name, board), [asdict(each) for each in board.standings])
    else:
        _print(name, board)


def _print(name: str, board: Board) -> None:
    print_table(_title(name, board), board.lines())
    print_table("what they cost (--details prints all fields)", board.costs())
    for each in board.standings:
        if each.note:
            say(f"{each.model} ({each.role}): {each.note}")
    for note in board.about["notes"]:
        say(note)


def _title(name: str, board: Board) -> str:
    about = board.about
    rows = f"{about['rows']:,} mature rows of {about['start'][:10]} to {about['end'][:10]}"
    return f"{name}: {about['words']} on {rows}"
