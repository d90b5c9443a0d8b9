"""Models of the families that lost, kept as bundles until the next training: yardsticks of the leaderboard.

They were fitted to be compared on the validation rows and cost nothing more. They are not registered: what may go into
production is in `jobs.training.candidate`.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from jobs.ledger import training_costs
from jobs.models.protocol import Model
from jobs.registry import bundle as bundles
from jobs.settings import Settings
from jobs.training import candidate
from jobs.training.train import Trained, ValidatedContender
from jobs.use_case import UseCase, problem_of


def folder_of(settings: Settings, use_case: UseCase, family: str) -> Path:
    """Where the bundle of a family that lost is; it need not exist."""
    return _folder(settings, use_case) / family


def _folder(settings: Settings, use_case: UseCase) -> Path:
    return candidate.root_of(settings, use_case) / "families"


def keep(settings: Settings, use_case: UseCase, trained: Trained) -> None:
    """Keep the families that `trained` was preferred to, in place of those of the training before."""
    shutil.rmtree(_folder(settings, use_case), ignore_errors=True)
    for each in trained.contestants:
        if each.kind == "family" and each.name != trained.winner.name and each.model is not None:
            _keep(settings, use_case, trained, each, each.model)


def _keep(settings: Settings, use_case: UseCase, trained: Trained, family: ValidatedContender, model: Model) -> None:
    manifest = trained.bundle.manifest
    windows = manifest.training["windows"]
    learned_until = datetime.fromisoformat(windows["validation_start"]) - timedelta(days=windows["maturity_days"])
    training = {
        **manifest.training,
        "parameters": dict(family.parameters),
        "steps": family.steps,
        "negative_rate": problem_of(use_case).family(family.name).negative_rate,
        "validation": dict(family.metrics),
        "learned_until": learned_until.isoformat(),
    }
    own = replace(manifest, family=family.name, features=bundles.features_of(model), training=training, interval={})
    written = bundles.write(folder_of(settings, use_case, family.name), model, replace(own, files={}))
    if family.cost is not None:
        training_costs.record(settings, use_case, written.sha256, family.cost.numbers)
