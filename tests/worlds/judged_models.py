"""Models of the judged world as a training leaves them, and homes with champions of the past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from worlds.judged_world import AS_OF, DAY, FEATURES, USE_CASE, FileRegistry, fitted

from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.registry.bundle import Bundle
from jobs.settings import Settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def trained(folder: Path, table: pa.Table, names: Sequence[str] = FEATURES, seed: int = 0, **more: Any) -> Bundle:
    """A model as the usual training as of AS_OF makes it: it leaves the judged window to the gate."""
    windows = {
        "maturity_days": 5.0,
        "validation_start": (AS_OF - 25 * DAY).isoformat(),
        "judged_start": (AS_OF - 15 * DAY).isoformat(),
        "judged_end": (AS_OF - 5 * DAY).isoformat(),
    }
    return fitted(folder, table, names, seed, training={"windows": windows, **more})


def promoted(home: Settings, registry: FileRegistry, version: int, bundle: Bundle, since: datetime = AS_OF) -> None:
    """Put a model into the registry and into production."""
    registry.add(version, bundle)
    last = promotions.champion(home, USE_CASE)
    promotions.decide(
        home,
        PromotionDecision(
            USE_CASE.name, NOW, since, "promotion", "promoted", "better", "evergreen", True, version, bundle.sha256,
            last.version if last else None, f"digest {version}",
        ),
    )  # fmt: skip
