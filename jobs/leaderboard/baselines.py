"""The baselines of the leaderboard as bundles, made once after each training of a candidate.

The gate trains its own for every evaluation (`jobs.evaluation.baselines`), on more days; here a night costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.datasets import time_split
from jobs.errors import EvergreenError
from jobs.lakehouse.tables import Lakehouse
from jobs.leaderboard.entrants import Entrant
from jobs.ledger import training_costs
from jobs.registry.bundle import Bundle, open_bundle
from jobs.state_files import replace_json
from jobs.training import baseline_models, candidate
from jobs.use_case import UseCase

_RECORD = "baselines.json"


def baselines(lakehouse: Lakehouse, use_case: UseCase, trained: Bundle | None) -> Iterator[Entrant]:
    """Every declared rule and the plain regression, as trained after `trained` was; none without it."""
    if trained is None:
        return
    folder = candidate.root_of(lakehouse.settings, use_case) / "baselines"
    record = _recorded(folder, trained)
    if record is None:
        record = _made(lakehouse, use_case, trained, folder)
        replace_json(folder / _RECORD, record)
    for name, place in record["bundles"].items():
        yield Entrant(name, "baseline", open_bundle(folder / place))
    for text in record["left_out"]:
        name, _, why = text.partition(": ")
        yield Entrant(name, "baseline", None, why)


def _recorded(folder: Path, trained: Bundle) -> dict[str, Any] | None:
    """What was made for this training, if all of it is there."""
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text())
        if record["of"] != trained.sha256:
            return None
        for place, sha256 in zip(record["bundles"].values(), record["sha256"], strict=True):
            open_bundle(folder / place, sha256)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record


def _made(lakehouse: Lakehouse, use_case: UseCase, trained: Bundle, folder: Path) -> dict[str, Any]:
    try:
        data, _ = candidate.input_of(lakehouse, use_case)
        examples = data.rows.examples
        refused = time_split.refusal(data.parts, data.rows.times, examples.labels, examples.task)
    except EvergreenError as error:
        refused = str(error)
    if refused:
        return {"of": trained.sha256, "bundles": {}, "sha256": [], "left_out": [f"baselines: {refused}"]}
    own = (trained.manifest.family, trained.manifest.names)
    made = baseline_models.make(lakehouse.settings, use_case, data, own, folder)
    for name, bundle in made.bundles.items():
        training_costs.record(lakehouse.settings, use_case, bundle.sha256, made.costs[name].numbers)
    return {
        "of": trained.sha256,
        "bundles": {name: bundle.folder.name for name, bundle in made.bundles.items()},
        "sha256": [bundle.sha256 for bundle in made.bundles.values()],
        "left_out": list(made.left_out),
    }
