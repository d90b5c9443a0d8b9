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
from jobs.tasks.task import Labels
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
    champion = champions.at(use_case, None)
    if champion is None:
        raise NothingToExport("no champion yet")
    rows, labels = _proof(lakehouse, use_case, champion[1], as_of)
    online = export_onnx.export(lakehouse.settings, use_case, *champion, rows, labels, int8=int8)
    return ExportedChampion(online, *champion, rows)


def stage_version(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, version: int, as_of: datetime
) -> OnlineModel:
    """Export a version beside the champion. Raises NothingToExport, ValueError for an unknown version, and what
    `jobs.promotion.export_onnx.export` raises."""
    bundle = champions.version(use_case, version)[1]
    rows, labels = _proof(lakehouse, use_case, bundle, as_of)
    return export_onnx.stage(lakehouse.settings, use_case, version, bundle, rows, labels)


def _proof(lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, as_of: datetime) -> tuple[FeatureRows, Labels]:
    """The latest mature rows, as a bundle reads them, and their labels."""
    from jobs.evaluation import mature_rows
    from jobs.models.tables import examples_of

    rows = mature_rows.latest(lakehouse, use_case, as_of, PROVING_ROWS)
    if not rows.num_rows:
        raise NothingToExport("no rows with mature labels to prove it on yet")
    examples = examples_of(rows, bundle.manifest.names, use_case.label, task=task_of(problem_of(use_case)))
    return examples.features, examples.labels
