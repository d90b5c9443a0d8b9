"""`evergreen backtest`: the features of a file, built once by the lineage in a home of its own, then one fold on them.

What a fold is, and how it is measured, is in `jobs.backtest`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobs import backtest, engine, inputs
from jobs.backtest import BacktestError, Fold
from jobs.lakehouse import Lakehouse, attach
from jobs.local_files import replace_json
from jobs.settings import Settings
from jobs.use_case import UseCase

ALWAYS = timedelta(days=36_500)


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
        BacktestError: the lineage stopped, or as `jobs.backtest.run`.
    """
    lakehouse = prepared(settings, use_case, files, columns)
    result = backtest.run(lakehouse, use_case, fold, families, trials)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_json(out, result)
    return result


def prepared(
    settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None
) -> Lakehouse:
    """The lakehouse of these files with a training set of all their rows, below `home/backtest`, built anew if need be.

    Every label is the one known in the end. Features of a row are those known at its own time all the same, and
    `jobs.backtest` asks the labels' table what was known when.
    """
    from orchestration import runner

    own = _home(settings, use_case, files, columns)
    whole = replace(use_case, problem=None, training_window=ALWAYS)
    known = runner.registered(own, whole, files, columns)
    try:
        if runner.run(own, whole, files, columns, known.end + use_case.label_maturity, show=False):
            raise BacktestError("expected the lineage to build the features, but it stopped; see above why")
    finally:
        if own.spark_remote is None:
            engine.stop(own)
    return attach(own)


def _home(settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None) -> Settings:
    """A home for exactly these files: a file that changed is another input, not a further load of the same."""
    given = {name: inputs.stamps(_flat(paths)) for name, paths in files.items()}
    names = inputs.stamps([columns] if columns else [])
    digest = hashlib.sha256(json.dumps([use_case.name, given, names], sort_keys=True).encode()).hexdigest()[:16]
    warehouse = settings.warehouse_url and f"{settings.warehouse_url.rstrip('/')}/backtest/{digest}"
    return replace(settings, home=settings.home / "backtest" / digest, warehouse_url=warehouse, online_store_url=None)


def _flat(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
