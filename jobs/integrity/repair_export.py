"""How an exported model that is not as it was written is mended: it is exported again."""

from __future__ import annotations

from datetime import datetime

from jobs.errors import Invalid
from jobs.integrity import models
from jobs.lakehouse.tables import Lakehouse
from jobs.promotion import export_onnx
from jobs.promotion.export_champion import export_champion
from jobs.promotion.export_onnx import OnlineModel
from jobs.registry.champion_bundles import Champions
from jobs.settings import Settings
from jobs.use_case import UseCase


def set_aside_if_damaged(settings: Settings, use_case: UseCase) -> None:
    """Move what is damaged of the exported models out of the way: a run exports the champion again."""
    if any(found.is_of_export for found in models.check_before_run(settings, use_case)):
        folder = export_onnx.root(settings, use_case)
        places = (folder.with_name(f".{folder.name}.damaged-{number}") for number in range(1, 10_000))
        folder.rename(next(place for place in places if not place.exists()))


def export(lakehouse: Lakehouse, use_case: UseCase) -> OnlineModel:
    """Export the champion, proven on the rows of the training set. Raises Invalid if there is none."""
    as_of = lakehouse.state(use_case.training_set).get("as_of")
    if as_of is None:
        raise Invalid(f"{use_case.training_set}: expected a training set to prove the model on, found none; run first")
    moment = datetime.fromisoformat(as_of)
    return export_champion(lakehouse, use_case, Champions(lakehouse.settings), moment).online
