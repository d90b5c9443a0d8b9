"""dbt models whose SQL changed, built from nothing: rows that older SQL made would stay beside those of the new one.

Their tables keep their names and their history: versions that a model was trained on can still be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.lakehouse import dbt_models
from jobs.lakehouse.dbt_models import Build, relation
from jobs.lakehouse.tables import PARTITION, REFRESHED, Lakehouse
from jobs.use_case import UseCase

FULL = "--full-refresh"


def refresh(
    lakehouse: Lakehouse, use_case: UseCase, parsed: Path, manifest: Mapping[str, Any], models: Sequence[str]
) -> Build:
    """Build `models`, each after those that it reads, and their tests, from all rows of what they read.

    Args:
        parsed: what `dbt_models.manifest` returned; manifest: its content.
    """
    _make_room(lakehouse, use_case, parsed, manifest, models)
    done = dbt_models.build(lakehouse, use_case, parsed, [*dbt_models.selection(manifest, models), FULL])
    for model in models:
        table = relation(manifest["nodes"][model])
        if lakehouse.exists(table):
            # Whoever computes from rows that are new or changed by their numbers has to compute from all of them.
            lakehouse.set_properties(table, {REFRESHED: str(lakehouse.version(table))}, lakehouse.state(table))
    return done


def _make_room(
    lakehouse: Lakehouse, use_case: UseCase, parsed: Path, manifest: Mapping[str, Any], models: Sequence[str]
) -> None:
    """Give the tables of models the columns that their SQL has now: the embedded engine cannot by itself."""
    from pyspark.sql.pandas.types import to_arrow_schema

    sql = dbt_models.compiled(lakehouse, use_case, parsed, [*dbt_models.selection(manifest, models), FULL])
    with dbt_models.session(lakehouse, use_case):
        for model in models:
            table = relation(manifest["nodes"][model])
            if model not in sql or not lakehouse.exists(table):
                continue
            schema = to_arrow_schema(lakehouse.spark.sql(sql[model]).schema, timezone="UTC")
            if schema.names != lakehouse.schema(table).names:
                by = [PARTITION] if PARTITION in lakehouse.delta(table).metadata().partition_columns else None
                lakehouse.reshape(table, schema, partition_by=by)
