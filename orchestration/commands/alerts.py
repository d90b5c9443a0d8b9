"""`evergreen alerts`: parsing and printing; the work is in `jobs.alerts.outbox`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named

if TYPE_CHECKING:
    from jobs.alerts.outbox import RecordedAlert
    from jobs.settings import Settings


@click.command()
@click.option("--use-case", "name", help="Only alerts of this use case.")
@click.option("--all", "resolved", is_flag=True, help="Also alerts that are resolved.")
@click.option("--test", is_flag=True, help="Send a test alert through every channel and print the result of each.")
def alerts(name: str | None, resolved: bool, test: bool) -> None:
    """Show open alerts, and channels that have not delivered them (docs/operation/alerts.md)."""
    settings = settings_module.load()
    if test:
        sys.exit(_test(settings))
    from rich.console import Console

    from jobs.alerts import outbox

    recorded = outbox.recorded(settings, name and use_case_named(name).name, resolved)
    if not recorded:
        click.echo("No alert was ever raised." if resolved else "No alert is open.")
        return
    Console().print(_table(recorded))


def _table(recorded: list[RecordedAlert]) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="alerts", title_justify="left")
    for column in ("raised at", "resolved at", "use case", "kind", "subject", "severity", "message", "not delivered"):
        table.add_column(column, overflow="fold")
    for each in reversed(recorded):
        alert, ended = each.alert, f"{each.resolved_at:%Y-%m-%d %H:%M}" if each.resolved_at else ""
        waiting = "; ".join(f"{channel}: {why or 'not tried yet'}" for channel, why in each.waiting.items())
        texts = (alert.use_case, alert.kind, alert.subject, alert.severity, alert.message, waiting)
        table.add_row(f"{each.raised_at:%Y-%m-%d %H:%M}", ended, *map(escape, texts))
    return table


def _test(settings: Settings) -> int:
    """Try each channel; 1 if one failed."""
    from jobs.alerts import channels
    from jobs.alerts.notice import Notice

    now = datetime.now(UTC)
    message = "This is only a test: nothing is wrong, and there is nothing to do."
    key = f"test-{now:%Y%m%dT%H%M%S%f}"
    notice = Notice(key, "evergreen", "test", "evergreen alerts --test", message, "error", now, now, 0, None, {})
    failures = {}
    for channel, place in channels.where(settings).items():
        failures[channel] = channels.deliver(settings, channel, notice)
        click.echo(f"{channel}: {failures[channel] or f'delivered to {place}'}")
    return int(any(failures.values()))
