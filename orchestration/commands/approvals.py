"""`evergreen approve`, `reject` and `rollback`: parsing and printing; the work is in `jobs.promotion.approvals`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from jobs.error_messages import bug, message_of
from jobs.settings import Settings
from orchestration.options import VERSION, use_case_named, use_case_option
from orchestration.printing import complain, say

if TYPE_CHECKING:
    from jobs.ledger.promotions import PromotionDecision
    from jobs.promotion.promote import Registry
    from jobs.use_case import UseCase

BY = click.option("--by", required=True, help="Your name, as the ledger will show it.")


@click.command()
@click.argument("model_version", type=VERSION)
@use_case_option
@BY
@click.option("--because", default="", help="Why; must be given where the evidence is too thin to judge the model.")
def approve(model_version: int, name: str, by: str, because: str) -> None:
    """Let MODEL_VERSION, which waits, into production."""
    from jobs.promotion import approvals
    from jobs.registry import model_versions as registry

    settings, use_case = settings_module.load(), use_case_named(name)
    person = approvals.person(settings, use_case, by, True, datetime.now(UTC))
    _report(
        settings,
        use_case,
        registry,
        lambda: approvals.approve(settings, use_case, registry, model_version, person, because.strip()),
    )


@click.command()
@click.argument("model_version", type=VERSION)
@use_case_option
@BY
@click.option("--reason", required=True)
def reject(model_version: int, name: str, by: str, reason: str) -> None:
    """Turn MODEL_VERSION, which waits, down; it is not judged again."""
    from jobs.promotion import approvals
    from jobs.registry import model_versions as registry

    settings, use_case = settings_module.load(), use_case_named(name)
    person = approvals.person(settings, use_case, by, True, datetime.now(UTC))
    _report(settings, use_case, registry, lambda: approvals.reject(settings, use_case, model_version, person, reason))


@click.command()
@use_case_option
@click.option("--to", type=VERSION, help="A former champion; default: the previous one.")
@BY
@click.option("--reason", required=True)
def rollback(name: str, to: int | None, by: str, reason: str) -> None:
    """Bring the previous champion back: model, features and preprocessing together."""
    from jobs.promotion import approvals
    from jobs.registry import model_versions as registry

    settings, use_case = settings_module.load(), use_case_named(name)
    person = approvals.person(settings, use_case, by, True, datetime.now(UTC))
    _report(
        settings,
        use_case,
        registry,
        lambda: approvals.rollback(settings, use_case, registry, person, reason, to),
    )


def _show(settings: Settings, use_case: UseCase, decision: PromotionDecision) -> None:
    """Let the UI know: it shows what runs and events tell it."""
    from assets.promotion import decided_outside
    from orchestration.instance import open_instance

    with open_instance(settings) as instance:
        instance.report_runless_asset_event(decided_outside(settings, use_case, decision))


def _outcome(decision: PromotionDecision) -> str:
    restored = decision.kind == "rollback" and decision.outcome == "promoted"
    return f"champion again, instead of version {decision.champion_version}" if restored else decision.outcome


def _report(settings: Settings, use_case: UseCase, registry: Registry, decide: Callable[[], PromotionDecision]) -> None:
    """Print what was decided; the exit status is 1 if it was refused."""
    from jobs.promotion import promote

    decision = decide()
    say(f"{use_case.name} version {decision.model_version}: {_outcome(decision)} ({decision.reason})")
    try:
        promote.reconcile(settings, use_case, registry)
    except Exception as error:
        # The decision is in the ledger; only the registry is late.
        why = message_of(error) or bug(error)
        complain(f"The registry does not follow yet ({why}); the next `evergreen run` makes it.")
    try:
        _show(settings, use_case, decision)
    except Exception as error:
        why = message_of(error) or bug(error)
        complain(f"The page of the champion does not show it yet ({why}); the next `evergreen run` makes it.")
    sys.exit(int(decision.outcome == "refused"))
