"""Resources made from settings: the lakehouse, the clock at the boundary, the registry and the champions."""

from typing import Any

from assets.ingest import utc_now
from jobs.lakehouse.tables import attach
from jobs.registry import model_versions
from jobs.registry.champion_bundles import Champions
from jobs.settings import Settings


def build(settings: Settings) -> dict[str, Any]:
    """All resources, under the names that assets declare."""
    return {
        "lakehouse": attach(settings),
        "now": utc_now(),
        "registry": model_versions,
        "champions": Champions(settings),
    }
