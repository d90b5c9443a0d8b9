"""`evergreen models`, `approve`, `reject` and `rollback`: parsing and printing; the work is in
`jobs.promotion.approvals`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from jobs.settings import Settings
from orchestration.options import use_case_named

if TYPE_CHECKING:
    from jobs.ledger.promotions import LedgerView, PromotionDecision
    from jobs.promotion.promote import Registry
    from jobs.use_case import UseCase

USE_CASE = click.option("--use-case", "name", default="fraud", show_default=True)
BY = click.option("--by", required=True, help="Your name, as the ledger will show it.")


@click.command()
@click.argument("model_version", type=int)
@USE_CASE
@BY
def approve(model_version: int, name: str, by: str) -> None:
    """Let MODEL_VERSION, which passed the gate and waits, into production."""
    from jobs.promotion import approvals
    from jobs.registry import model_versions as registry

    settings, use_case = settings_module.load(), use_case_named(name)
    person = approvals.person(settings, use_case, by, True, datetime.now(UTC))
    _report(
        settings,
        use_case,
        registry,
        lambda: approvals.approve(settings, use_case, registry, model_version, person),
    )


@click.command()
@click.argument("model_version", type=int)
@USE_CASE
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
@USE_CASE
@click.option("--to", type=int, help="A former champion; default: the previous one.")
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


@click.command()
@USE_CASE
def models(name: str) -> None:
    """Who is in production, who was, and what was decided about every model version."""
    from rich.console import Console

    from jobs.ledger import promotions

    book = promotions.book(settings_module.load(), use_case_named(name))
    if not book.decisions:
        click.echo(f"Nothing was decided about models of {name} yet; `evergreen run` trains and judges them.")
        return
    for table in _tables(name, book):
        Console().print(table)


def _tables(name: str, book: LedgerView) -> list[object]:
    from rich.table import Table

    champions = Table(title=f"champions of {name}", title_justify="left")
    for column in ("version", "alias", "since", "until", "decision"):
        champions.add_column(column)
    for period in reversed(book.champions):
        former = book.previous is not None and period == book.previous
        alias = "champion" if period is book.champion else "previous" if former else ""
        until = f"{period.until:%Y-%m-%d %H:%M}" if period.until else ""
        champions.add_row(
            str(period.version), alias, f"{period.since:%Y-%m-%d %H:%M}", until, str(period.decision)
        )  # fmt: skip
    decisions = Table(title="decisions", title_justify="left")
    for column in ("id", "decided at", "as of", "version", "kind", "outcome", "by", "reason"):
        decisions.add_column(column, overflow="fold")
    for d in reversed(book.decisions):
        by = d.by if d.authenticated else f"{d.by} (unauthenticated)"
        moments = (f"{moment:%Y-%m-%d %H:%M}" for moment in (d.decided_at, d.as_of))
        decisions.add_row(str(d.id), *moments, str(d.model_version), d.kind, d.outcome, by, d.reason)
    return [champions, decisions]


def _report(settings: Settings, use_case: UseCase, registry: Registry, decide: Callable[[], PromotionDecision]) -> None:
    """Say what was decided; 1 if it was not what was asked for."""
    from jobs.promotion import promote
    from jobs.promotion.approvals import NotPossible

    try:
        decision = decide()
    except NotPossible as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{use_case.name} version {decision.model_version}: {decision.outcome} ({decision.reason})")
    try:
        promote.reconcile(settings, use_case, registry)
    except Exception as error:
        # The ledger has decided; only what follows it is late.
        click.echo(f"The registry does not follow yet ({error}); the next `evergreen run` makes it.", err=True)
    sys.exit(int(decision.outcome == "refused"))


COMMANDS = (approve, models, reject, rollback)
