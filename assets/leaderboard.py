"""The leaderboard as an asset: every model there is on the same latest mature rows."""

from typing import Any

import dagster as dg
import pyarrow as pa

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.event_tables import shown
from assets.keys import Keys
from assets.metadata import describe, markdown_table
from assets.pictures.leaderboard import standings_picture
from jobs.checks import leaderboard as checks
from jobs.data_dictionary.tables import DataDictionary
from jobs.lakehouse.tables import Lakehouse
from jobs.leaderboard import board_table
from jobs.leaderboard.board_table import Board
from jobs.promotion.promote import Registry
from jobs.use_case import UseCase

NO_MODEL = "no model was trained yet"
AHEAD = "the table holds a board of a later moment: it was left as it is"


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The leaderboard; nothing for a use case that learns nothing."""
    if use_case.learned is None:
        return []
    keys, dictionary = Keys(use_case), DataDictionary(use_case, board_table.DESCRIPTIONS)

    @asset(
        use_case,
        keys.leaderboard,
        deps=[keys.champion, keys.training_set],
        checks=checks.CHECKS,
        kinds={"delta", "onnx"},
        description="Champion, former champions, candidate, families and baselines on the same latest mature rows, "
        "with what they cost.",
        metadata=shown(board_table.SCHEMA, dictionary),
    )
    def leaderboard(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult[None]:
        from jobs.leaderboard import board as job

        as_of = run_context.moment(context, lakehouse, use_case)
        why = job.lacking(lakehouse, use_case, as_of)
        board = None if why else job.current(lakehouse, use_case, registry, as_of)
        if board is None:
            return dg.MaterializeResult(metadata={"notes": why or NO_MODEL})
        notes = [*board.about["notes"], *([] if board_table.record(lakehouse, use_case, board) else [AHEAD])]
        described = describe(context, lakehouse, board_table.table(use_case), dictionary)
        return dg.MaterializeResult(
            metadata={**described, **_shown(board), **({"notes": "\n".join(notes)} if notes else {})},
            check_results=results(checks.judge(board)),
        )

    return [leaderboard]


def _shown(board: Board) -> dict[str, Any]:
    about, champion = board.about, board.champion
    figures = {} if champion is None or champion.value is None else {f"champion_{about['objective']}": champion.value}
    picture = standings_picture(board)
    return {
        **figures,
        "objective": about["words"],
        "judged_rows": f"{about['rows']:,} of {about['start'][:16]} to {about['end'][:16]}",
        "standings": markdown_table(pa.Table.from_pylist(board.lines())),
        "costs": markdown_table(pa.Table.from_pylist(board.costs())),
        **({"picture": picture} if picture else {}),
    }
