"""The features of a file, built once by the lineage in a home of its own: what backtests and replays start from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from jobs.errors import EvergreenError
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse import engine
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.settings import Settings
from jobs.use_case import UseCase

ALWAYS = timedelta(days=36_500)
SETTLED = timedelta(days=366)
"""Labels reported within this time after the last event count."""


class NotPrepared(EvergreenError, ValueError):
    """The lineage stopped before the features were there."""


@contextmanager
def prepared(
    settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None
) -> Iterator[tuple[Lakehouse, Inputs]]:
    """The lakehouse of these files (none: of the registered ones, or the built-in input) with a training set of all
    their rows, below `home/prepared`, built where it is missing; its engine runs until the block ends.

    Every label is the one known in the end. Features of a row are still those known at its own time; when a label was
    known is in the labels' table.

    Raises:
        NotPrepared: the lineage stopped; it printed why.
    """
    from orchestration import run_command

    files = files if any(files.values()) else _built_in(settings, use_case)
    own = _home(settings, use_case, files, columns)
    whole = replace(use_case, ends_at_training_set=True, training_window=ALWAYS)
    inputs = run_command.registered(own, whole, files, columns)
    try:
        if run_command.run(own, whole, files, columns, inputs.end + SETTLED, show=False, ahead=True):
            raise NotPrepared("expected the lineage to build the features, but it stopped; see above why")
        yield attach(own), inputs
    finally:
        if own.spark_remote is None:
            engine.stop(own)


def _built_in(settings: Settings, use_case: UseCase) -> dict[str, Sequence[Path]]:
    inputs = registered_inputs.ensure(settings, use_case)
    return {name: inputs.paths(name) for name in inputs.files}


def _home(settings: Settings, use_case: UseCase, files: Mapping[str, Sequence[Path]], columns: Path | None) -> Settings:
    """A home for exactly these files: a file that changed is another input, not a further load of the same."""
    file_stamps = {name: registered_inputs.stamps(_flat(paths)) for name, paths in files.items()}
    names = registered_inputs.stamps([columns] if columns else [])
    digest = hashlib.sha256(json.dumps([use_case.name, file_stamps, names], sort_keys=True).encode()).hexdigest()[:16]
    warehouse = settings.warehouse_url and f"{settings.warehouse_url.rstrip('/')}/prepared/{digest}"
    return replace(settings, home=settings.home / "prepared" / digest, warehouse_url=warehouse, online_store_url=None)


def _flat(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
