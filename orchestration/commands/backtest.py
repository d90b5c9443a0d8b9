"""`evergreen backtest`: the features of a file, built once by the lineage in a home of its own, then one fold on them.

What a fold is, and how it is measured, is in `jobs.backtesting.folds`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs import settings
from orchestration.options import (
    DAY,
    DAYS,
    chosen_files,
    columns_option,
    input_files,
    use_case_named,
    use_case_option,
)
from orchestration.printing import complain, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.backtesting.fold_days import Fold
    from jobs.use_case import UseCase

DELAY, TRIALS = click.IntRange(0, 36_500), click.IntRange(0, 10_000)
PRINTED = (
    "family", "auc_roc", "average_precision", "card_precision_at_", "recall_at_capacity", "log_loss", "cost",
    "accuracy", "balanced_accuracy", "mean_absolute_error", "pinball", "root_mean_squared_error", "bias",
    "train_rows", "test_rows",
)  # fmt: skip
"""How the names of results begin that are printed; the file has all of them."""


@click.command()
@use_case_option
@input_files
@columns_option
@click.option("--train-from", type=DAY, required=True, help="First day of the train week.")
@click.option("--train-days", type=DAYS, default=7, show_default=True)
@click.option("--delay-days", type=DELAY, default=7, show_default=True, help="Days until labels are known.")
@click.option("--test-days", type=DAYS, default=7, show_default=True)
@click.option("--trials", type=TRIALS, default=0, help="Parameters to try per family; 0: the declared ones.")
@click.option("--families", multiple=True, help="Families to compare: one or more names.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file to write.")
@click.argument("more_families", nargs=-1, metavar="")
def backtest(
    name: str,
    columns: Path | None,
    train_from: datetime,
    train_days: int,
    delay_days: int,
    test_days: int,
    trials: int,
    families: tuple[str, ...],
    out: Path,
    more_families: tuple[str, ...],
    **files: tuple[Path, ...],
) -> None:
    """Measure one fold: train on what was known when the test days begin, decide about them, compare with the truth.

    Without files, the built-in input is measured on. The protocol and test-set rule are those of the Fraud Detection
    Handbook (docs/models/backtest.md).
    """
    from jobs.backtesting.fold_days import Fold

    if more_families and not families:
        raise click.UsageError(f"Got unexpected extra arguments ({' '.join(more_families)})")
    compared = [family for names in (*families, *more_families) for family in names.split(",")]
    fold = Fold(train_from.date(), train_days, delay_days, test_days)
    result = _measured(use_case_named(name), chosen_files(files), columns, fold, compared, trials, out)
    for key in (key for start in PRINTED for key in result if key.startswith(start)):
        say(f"{key:<22} {result[key]}")
    if result["leak"]:
        complain(result["leak"], "warning")


def _measured(
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    fold: Fold,
    families: list[str],
    trials: int,
    out: Path,
) -> dict[str, Any]:
    """Build what is new, measure the fold, write the result to `out`."""
    from jobs.backtesting import folds
    from jobs.state_files import replace_json
    from orchestration.prepared_features import prepared

    with prepared(settings.load(), use_case, files, columns) as (lakehouse, _):
        pass
    result = folds.run(lakehouse, use_case, fold, families, trials)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_json(out, result)
    return result
