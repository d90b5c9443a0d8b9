"""What a training is made of: table versions, declarations, code, lock, environment, and one digest of all of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.registry.import_closure import import_closure
from jobs.settings import ROOT
from jobs.use_case import UseCase

TRAININGS = ("jobs.training.candidate", "jobs.retraining.challenger")
"""Modules that make a candidate. What they rest on decides what a training makes."""
CARRIERS = (
    "jobs.lakehouse", "jobs.ledger", "jobs.settings", "jobs.state_files", "jobs.errors", "jobs.error_messages",
    "jobs.display", "jobs.secret", "jobs.registry.champion_bundles", "jobs.registry.model_versions",
    "jobs.registry.tracking", "jobs.training.compute_cost", "jobs.training.model_card", "jobs.training.pictures",
)  # fmt: skip
"""Modules that hand rows and models on, describe them, or say what is wrong, and change neither: a new line there
trains nothing again."""
PACKAGES = ("lightgbm", "numpy", "onnx", "onnxruntime", "optuna", "scikit-learn", "torch")


def of_training_set(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, Any]:
    """What the training set was built from: `versions` of tables, `feature_service`, its `features`, `declarations`,
    `as_of`.

    Raises:
        ValueError: there is no training set.
    """
    state = lakehouse.state(use_case.training_set)
    if not {"as_of", "features"} <= state.keys():
        raise Invalid(f"{use_case.training_set}: expected a training set, found none; materialize it first")
    return state


def as_of(state: Mapping[str, Any]) -> datetime:
    """The moment up to which a training set knows the world."""
    return datetime.fromisoformat(state["as_of"])


def digest(*content: Any) -> str:
    """One hash of what `json` can write, and of dataclasses; does not depend on the process."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).hexdigest()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON holds it: dates and times as text, tuples as lists."""
    content: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return content


def of_code() -> dict[str, Any]:
    """What a manifest records about the code and the environment that it ran in."""
    return {
        "code_revision": revision(),
        "code_sha256": code_sha256(),
        "lock_sha256": lock_sha256(),
        "environment": environment(),
    }


def code_sha256(root: Path = ROOT) -> str:
    """Hash of all sources that decide what a training makes: the import closure of `TRAININGS` without `CARRIERS`."""
    files = sorted(import_closure(root, TRAININGS, CARRIERS).files)
    return digest([(str(file.relative_to(root)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])


def lock_sha256() -> str | None:
    """Hash of the lock file; None where Evergreen is installed without its checkout."""
    lock = ROOT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None


def revision() -> str:
    """The git revision of the checkout, with a + if files differ from it; else the version of the package."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # It may be installed in a folder of a repository of others.
        if Path(_git("rev-parse", "--show-toplevel")).resolve() == ROOT:
            head = _git("rev-parse", "HEAD")
            return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return f"evergreen-ml {metadata.version('evergreen-ml')}"


def environment() -> dict[str, str]:
    """Versions of Python and of the packages that compute, and the machine's architecture."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _plain(value: Any) -> Any:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)
