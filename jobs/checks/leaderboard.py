"""Whether the leaderboard says how the champion stands, and whether anything that was there before does better."""

from __future__ import annotations

from jobs.checks.check import Check, Outcome
from jobs.leaderboard.board_table import Board

CHAMPION_MEASURED = Check(
    "champion_measured", "The champion has a figure on the board, and all figures are of the same rows."
)
CHAMPION_UNBEATEN = Check(
    "champion_unbeaten",
    "No former champion, family or baseline is better than the champion beyond noise.",
    severity="warning",
)
CHECKS = (CHAMPION_MEASURED, CHAMPION_UNBEATEN)


def judge(board: Board) -> list[Outcome]:
    """CHAMPION_MEASURED and CHAMPION_UNBEATEN of a board."""
    champion, words = board.champion, board.about["words"]
    measured = [each for each in board.standings if each.value is not None]
    if champion is None or not measured:
        why = "no champion yet" if champion is None else "; ".join(board.about["notes"]) or "nobody could be measured"
        return [check.not_judged(why) for check in CHECKS]
    expected, same = board.about["rows"], {each.rows for each in measured}
    found = f"{words} {champion.value:.4g}" if champion.value is not None else f"{champion.model} {champion.note}"
    rows = ", ".join(f"{rows:,}" for rows in sorted(rows or 0 for rows in same))
    on_the_board = CHAMPION_MEASURED.outcome(
        champion.value is not None and same == {expected},
        f"a figure of the champion, and figures of {expected:,} rows each",
        f"{found}, and figures of {rows} rows",
        models=len(measured),
        rows=expected,
    )
    if champion.value is None:
        return [on_the_board, CHAMPION_UNBEATEN.not_judged(f"the champion was not measured: {champion.note}")]
    better = [each for each in measured if each.better and each.role != "candidate"]
    unbeaten = CHAMPION_UNBEATEN.outcome(
        not better,
        f"nobody beyond noise ahead of the {champion.value:.4g} of {champion.model}",
        ", ".join(f"{each.role} {each.model} with {each.value:.4g}" for each in better) or "nobody",
        ahead=len(better),
    )
    return [on_the_board, unbeaten]
