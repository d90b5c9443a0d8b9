"""What a server can be asked about each use case, as one small JSON: the page makes its form of it."""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.data_dictionary.event_columns import column_meaning
from jobs.use_case import UseCase
from serving.decisions.service import DecisionService
from serving.description.columns import DescribedColumn, event_columns
from serving.description.examples import examples
from serving.live_models.live_model import LiveModel


class Overview(msgspec.Struct, omit_defaults=True):
    """One use case."""

    name: str
    description: str
    task: str
    model_version: str | None = None
    """None: no model is in service."""
    review: float | None = None
    block: float | None = None
    """Scores from which on an event is reviewed, and blocked."""
    no_decisions: str | None = None
    """Why there are none; then nothing of what follows is told."""
    id: str | None = None
    time: str | None = None
    """Names of the columns of the event's id, and of its time."""
    columns: list[DescribedColumn] = []
    entities: dict[str, str] = {}
    """Columns by which an entity is looked up, with their meanings."""
    features: dict[str, str] = {}
    """Meaning of each feature."""
    example: dict[str, Any] = {}


def overview(
    use_case: UseCase, model: LiveModel | None, service: DecisionService | None, reason: str | None, like_tables: bool
) -> Overview:
    """
    Args:
        reason: why there is no service.
        like_tables: as `examples` takes it.
    """
    found = Overview(use_case.name, use_case.description, use_case.task)
    if model is not None:
        found.model_version = model.version
        if use_case.task == "binary":
            found.review, found.block = model.manifest.threshold, model.manifest.block
    if service is None:
        found.no_decisions = reason or "this server does not decide about it"
        return found
    rows, schema = service.decider.rows, service.decider.schema
    found.id, found.time, found.columns = schema.id, schema.time, event_columns(service)
    found.entities = {name: column_meaning(use_case, name).sentence for name in lookups(service)}
    found.features = {name: text for name, text in service.meanings.items() if name in rows.computed}
    found.example = examples(service, like_tables).event
    return found


def lookups(service: DecisionService) -> list[str]:
    """Columns that name one entity of their own: the answer to `entities/{id}` has them."""
    keys = [plan.features.keys for plan in service.decider.rows.plans]
    return list(dict.fromkeys(names[0] for names in keys if len(names) == 1))
