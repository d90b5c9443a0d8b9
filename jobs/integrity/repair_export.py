"""How an exported model that is not as it was written is mended: it is exported again."""

from __future__ import annotations

from datetime import datetime

from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.promotion.export_champion import export_champion
from jobs.promotion.export_onnx import OnlineModel
from jobs.registry.champion_bundles import Champions
from jobs.use_case import UseCase


def export(lakehouse: Lakehouse, use_case: UseCase) -> OnlineModel:
    """Export the champion, proven on the rows of the training set. Raises Invalid if there is none."""
    as_of = lakehouse.state(use_case.training_set).get("as_of")
    if as_of is None:
        raise Invalid(f"{use_case.training_set}: expected a training set to prove the model on, found none; run first")
    moment = datetime.fromisoformat(as_of)
    return export_champion(lakehouse, use_case, Champions(lakehouse.settings), moment)
