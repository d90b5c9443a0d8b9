"""Who is in production, exported for the online service and proven on the latest mature rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobs.errors import EvergreenError
from jobs.models.features import FeatureRows
from jobs.promotion import export_onnx
from jobs.promotion.export_onnx import OnlineModel
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.lakehouse.tables import Lakehouse

PROVING_ROWS = 5_000


class NothingToExport(EvergreenError, RuntimeError):
    """There is no champion yet, or no row to prove it on."""


@dataclass(frozen=True, eq=False)
class ExportedChampion:
    """The exported model, with what it was made of and proven on."""

    online: OnlineModel
    version: int
    champion: Bundle
    rows: FeatureRows
    """The latest mature rows, shape (rows, features)."""


def export_champion(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime, *, int8: bool = True
) -> ExportedChampion:
    """Export the champion of now, whatever `as_of` is: only the rows that prove it are of that moment.

    Raises NothingToExport, and what `jobs.promotion.export_onnx.export` raises.
    """
    from jobs.evaluation import mature_rows
    from jobs.models.tables import examples_of

    champion = champions.at(use_case, None)
    rows = mature_rows.latest(lakehouse, use_case, as_of, PROVING_ROWS)
    if champion is None or not rows.num_rows:
        raise NothingToExport(f"no {'champion' if champion is None else 'rows with mature labels to prove it on'} yet")
    task = task_of(problem_of(use_case))
    examples = examples_of(rows, champion[1].manifest.names, use_case.label, task=task)
    online = export_onnx.export(lakehouse.settings, use_case, *champion, examples.features, examples.labels, int8=int8)
    return ExportedChampion(online, *champion, examples.features)
