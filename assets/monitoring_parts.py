"""What the monitoring assets have in common: their keys, their moment and what they say without scores."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.use_case import UseCase

GROUP = "monitoring"
NOTHING_SCORED = "the nightly log holds no scores yet"
NO_CHAMPION = "no champion yet"


def key(use_case: UseCase, name: str) -> dg.AssetKey:
    return dg.AssetKey([use_case.name, "monitoring", name])


def model(champions: Champions, use_case: UseCase, version: int, as_of: datetime) -> Bundle:
    """The bundle of a version; of the champion without asking the registry anew."""
    current = champions.at(use_case, as_of)
    return current[1] if current is not None and current[0] == version else champions.version(use_case, version)[1]


def nothing(check: str, note: str) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Nothing to look at is no failure."""
    yield dg.AssetCheckResult(check_name=check, passed=True, severity=dg.AssetCheckSeverity.WARN, description=note)
    yield dg.MaterializeResult(metadata={"notes": note})
