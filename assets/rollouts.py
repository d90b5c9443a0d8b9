"""Models that are brought in beside the champion, as an asset: who answers whom, what is known of each arm by now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.ledger_columns import ledger_columns
from assets.metadata import legible, markdown_table
from jobs.checks import rollouts as rollout_checks
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger.rollouts import Rollout
from jobs.promotion.promote import Registry
from jobs.rollouts.steps import Looked
from jobs.settings import Settings
from jobs.use_case import UseCase

LAST_CHANGES = 10


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The rollouts of a use case; none without a problem to solve."""
    return [] if use_case.learned is None else [_rollouts(use_case)]


def _rollouts(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.rollouts,
        deps=[keys.online_decisions, keys.champion],
        checks=[rollout_checks.PUBLISHED, rollout_checks.NOT_TAKEN_BACK],
        kinds={"sql"},
        metadata=ledger_columns("rollouts") | ledger_columns("rollout_changes"),
        description="Models beside the champion, their shares of the traffic, and what is known of them by now.",
    )
    def rollouts(
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        from jobs.ledger import rollouts as ledger
        from jobs.rollouts import steps

        settings = lakehouse.settings
        looked = steps.step(lakehouse, use_case, registry, now)
        outcomes = [
            rollout_checks.as_published(settings, use_case),
            rollout_checks.not_taken_back(ledger.of_use_case(settings, use_case.name)),
        ]
        return dg.MaterializeResult(metadata=shown(settings, use_case, looked), check_results=results(outcomes))

    return rollouts


def materialization(settings: Settings, use_case: UseCase, looked: Sequence[Looked]) -> dg.AssetMaterialization:
    """What the page of the rollouts shows of a look that no run made."""
    return dg.AssetMaterialization(Keys(use_case).rollouts, metadata=legible(shown(settings, use_case, looked)))


def shown(settings: Settings, use_case: UseCase, looked: Sequence[Looked]) -> dict[str, Any]:
    """Tables of what goes on, what was found and what was changed last."""
    from jobs.ledger import rollouts

    of_all = rollouts.of_use_case(settings, use_case.name)
    if not of_all:
        return {"notes": "no rollout yet (`evergreen rollout start`)"}
    metadata: dict[str, Any] = {"going_on": sum(each.ended_at is None for each in of_all)}
    if arms := [row for each in of_all for row in _arms(each)]:
        metadata["arms"] = markdown_table(pa.Table.from_pylist(arms[-LAST_CHANGES:]))
    if found := [row for each in looked for row in _found(each)]:
        metadata["findings"] = markdown_table(pa.Table.from_pylist(found))
    if business := [row for each in looked for row in _business(each)]:
        metadata["business"] = markdown_table(pa.Table.from_pylist(business))
    if looked:
        metadata["verdicts"] = "; ".join(f"{each.rollout.name}: {each.verdict.reason}" for each in looked)
    changes = sorted((change.changed_at, _change(each, change)) for each in of_all for change in each.changes)
    metadata["last_changes"] = markdown_table(pa.Table.from_pylist([row for _, row in changes[-LAST_CHANGES:]][::-1]))
    return metadata


def _arms(rollout: Rollout) -> list[dict[str, str]]:
    if rollout.ended_at is not None:
        return []
    kind, shares = rollout.strategy["kind"], rollout.shares
    rest = {"rollout": rollout.name, "strategy": kind, "state": rollout.state}
    arms = {f"{arm.name} (version {arm.version})": shares.get(arm.name, 0.0) for arm in rollout.arms}
    arms[f"champion (version {rollout.champion_version})"] = 1 - sum(arms.values())
    return [{**rest, "arm": name, "share of the entities": f"{share:.1%}"} for name, share in arms.items()]


def _found(looked: Looked) -> list[dict[str, str]]:
    return [
        {
            "rollout": looked.rollout.name, "arm": name, "finding": each.name, "outcome": each.outcome,
            "in words": each.said, "between": each.span, "of": str(each.observations),
        }
        for name, arm in looked.found.items()
        for each in arm.findings
    ]  # fmt: skip


def _business(looked: Looked) -> list[dict[str, Any]]:
    return [
        {
            "rollout": looked.rollout.name, "arm": name, "figure": each.name, "champion's": round(each.champion, 2),
            "arm's": round(each.arm, 2), "known": "matured" if each.is_matured else "live",
        }
        for name, arm in looked.found.items()
        for each in arm.business
    ]  # fmt: skip


def _change(rollout: Rollout, change: Any) -> dict[str, str]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in change.shares.items()) or "the champion answers all"
    said = {"when": f"{change.changed_at:%Y-%m-%d %H:%M}", "rollout": rollout.name, "what": change.kind}
    return {**said, "shares": shares, "why": change.reason, "by": change.by}
