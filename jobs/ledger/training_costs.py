"""What the training of each bundle cost, by the bundle's hash. A manifest cannot hold it, as the same training gives
the same manifest. How cost is measured: `jobs.training.compute_cost`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from jobs.settings import Settings

if TYPE_CHECKING:
    from jobs.use_case import UseCase


def record(settings: Settings, use_case: UseCase, sha256: str, cost: Mapping[str, float]) -> None:
    """Keep what a training took, as `Cost.numbers` names it; what was kept of the same bundle before stays."""
    from jobs.ledger import database, schema

    database.record_once(
        settings, schema.training_costs.c.sha256, {"sha256": sha256, "use_case": use_case.name, **cost}
    )


def seconds(settings: Settings, bundles: Collection[str]) -> dict[str, float]:
    """Hash -> seconds of the training, of those bundles whose cost was kept."""
    import sqlalchemy as sa

    from jobs.ledger import database
    from jobs.ledger.schema import training_costs as table

    query = sa.select(table.c.sha256, table.c.seconds).where(table.c.sha256.in_(list(bundles)))
    with database.transaction(settings) as connection:
        return {row.sha256: row.seconds for row in connection.execute(query)}
