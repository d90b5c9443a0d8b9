"""`evergreen backtest`: the features of a file, built once by the lineage in a home of its own, then one fold on them.

What a fold is, and how it is measured, is in `jobs.backtesting.folds`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.backtesting import folds
from jobs.backtesting.folds import Fold
from jobs.settings import Settings
from jobs.state_files import replace_json
from jobs.use_case import UseCase
from orchestration.prepared_features import prepared


def run(
    settings: Settings,
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    fold: Fold,
    families: Sequence[str] = (),
    trials: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Build what is new, measure the fold, write the result to `out`.

    Raises:
        NotPrepared: the lineage stopped.
        BacktestError: as `jobs.backtesting.folds.run`.
    """
    with prepared(settings, use_case, files, columns) as (lakehouse, _):
        pass
    result = folds.run(lakehouse, use_case, fold, families, trials)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_json(out, result)
    return result
