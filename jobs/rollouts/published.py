"""What workers know of rollouts: a small file beside the exported models, replaced at once after the ledger changed.

home/serving/online/{use_case}/rollouts.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from jobs.errors import Invalid
from jobs.ledger import rollouts
from jobs.ledger.rollouts import Rollout
from jobs.promotion import export_onnx
from jobs.rollout_strategy import Strategy
from jobs.rollouts.assignment import PublishedArm, PublishedRollout
from jobs.settings import Settings
from jobs.state_files import file_lock, replace_json
from jobs.use_case import UseCase

FILE = "rollouts.json"


def path(settings: Settings, use_case: UseCase) -> Path:
    """Where it lies."""
    return export_onnx.root(settings, use_case) / FILE


def publish(settings: Settings, use_case: UseCase) -> None:
    """Bring the file in line with the ledger; idempotent."""
    file = path(settings, use_case)
    with file_lock(settings.home / "locks" / f"rollouts.{use_case.name}.lock"):
        content = msgspec.to_builtins(wanted(settings, use_case))
        if content or file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_json(file, content)


def wanted(settings: Settings, use_case: UseCase) -> tuple[PublishedRollout, ...]:
    """What the file should say, by the ledger."""
    live = rollouts.of_use_case(settings, use_case.name, live=True)
    return tuple(_published(each) for each in live if each.state == "running")


def read(file: Path) -> Sequence[PublishedRollout]:
    """What is published; nothing if there is no file. Raises Invalid if it is damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[PublishedRollout, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"{file}: expected rollouts, found another content ({error}); `evergreen rollout status`"
        ) from None


def _published(rollout: Rollout) -> PublishedRollout:
    strategy = Strategy.of_stored(rollout.strategy)
    arms = tuple(
        PublishedArm(arm.name, arm.version, arm.sha256, rollout.shares.get(arm.name, 0.0)) for arm in rollout.arms
    )
    is_shadow = strategy.kind == "shadow"
    salt = f"{rollout.use_case}/{rollout.name}/{rollout.id}"
    return PublishedRollout(rollout.id, salt, rollout.low, rollout.high, arms, strategy.shadows, is_shadow)
