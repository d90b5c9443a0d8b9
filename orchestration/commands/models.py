"""`evergreen models`: printing; what was decided is read by `jobs.ledger.promotions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option

if TYPE_CHECKING:
    from jobs.ledger.promotions import LedgerView


@click.command()
@use_case_option
def models(name: str) -> None:
    """The champion, the former ones, and what was decided about every model version."""
    from rich.console import Console

    from jobs.ledger import promotions

    book = promotions.book(settings.load(), use_case_named(name))
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
