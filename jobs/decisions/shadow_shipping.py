"""What models said that did not answer, on its way from the log to a Delta table of its own: each once.

`{use_case}_serving.shadow_log`, a row per event, rollout and arm; `scored_at` is the stamp of the decision, by which a
row is joined to that of the prediction log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from jobs.decisions import appended_once
from jobs.decisions.log_contents import Shadow
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring.prediction_log import TIME
from jobs.use_case import UseCase

KEY = ("scored_at", "rollout", "arm")
_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def table(use_case: UseCase) -> str:
    """Name of the table."""
    return f"{use_case.name}_serving.shadow_log"


def schema(use_case: UseCase, id_type: pa.DataType) -> pa.Schema:
    """Its columns."""
    return pa.schema({
        use_case.event_id: id_type, "scored_at": TIME, "rollout": pa.int64(), "arm": pa.string(),
        "score": pa.float32(), "verdict": pa.string(), "model_version": pa.int64(), "latency": pa.int64(),
        "failure": pa.string(), PARTITION: pa.date32(),
    })  # fmt: skip


def write(lakehouse: Lakehouse, use_case: UseCase, shadows: Sequence[Shadow], id_type: pa.DataType) -> int:
    """Append those that are not there yet; returns how many they were."""
    rows = _rows(use_case, shadows, schema(use_case, id_type))
    return appended_once.append(lakehouse, table(use_case), rows, KEY)


def _rows(use_case: UseCase, shadows: Sequence[Shadow], wanted: pa.Schema) -> pa.Table:
    columns: dict[str, list[Any]] = {
        use_case.event_id: [each.id for each in shadows],
        "rollout": [each.rollout for each in shadows],
        "arm": [each.arm for each in shadows],
        "score": [each.outcome.score for each in shadows],
        "verdict": [each.outcome.decision for each in shadows],
        "model_version": [int(each.model_version) if each.model_version else None for each in shadows],
        "latency": [each.scoring for each in shadows],
        "failure": [each.failure for each in shadows],
        PARTITION: [_EPOCH + timedelta(days=each.decided_at // _DAY) for each in shadows],
    }
    stamps = pa.array([each.decided_at for each in shadows], pa.int64()).cast(TIME)
    return pa.table([stamps if f.name == "scored_at" else pa.array(columns[f.name], f.type) for f in wanted], wanted)
