"""`evergreen alerts`: parsing and printing; the work is in `jobs.alerts.outbox`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named
from orchestration.printing import details_option, json_option, moment, print_details, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.alerts.outbox import RecordedAlert
    from jobs.settings import Settings


@click.command()
@click.option("--use-case", "name", help="Only alerts of this use case.")
@click.option("--all", "resolved", is_flag=True, help="Also alerts that are resolved.")
@click.option("--test", is_flag=True, help="Send a test alert through every channel and print the result of each.")
@details_option
@json_option
def alerts(name: str | None, resolved: bool, test: bool, details: bool, as_json: bool) -> None:
    """Print open alerts, and channels that have not delivered them (docs/operation/alerts.md)."""
    settings = settings_module.load()
    if test:
        sys.exit(_test(settings))
    from jobs.alerts import outbox

    recorded = outbox.recorded(settings, name and use_case_named(name).name, resolved)
    latest = list(reversed(recorded))
    if as_json:
        print_json([_record(each) for each in latest])
    elif not latest:
        say("No alert was ever raised." if resolved else "No alert is open.")
    elif details:
        print_details("alerts", [_text(_record(each)) for each in latest])
    else:
        print_table("alerts (--details prints all fields)", [_short(each) for each in latest])


def _short(recorded: RecordedAlert) -> dict[str, object]:
    alert, resolved = recorded.alert, f"\n-> resolved {moment(recorded.resolved_at)}" if recorded.resolved_at else ""
    waiting = f"\n-> not delivered by {', '.join(recorded.waiting)}" if recorded.waiting else ""
    return {
        "raised at": moment(recorded.raised_at),
        "severity": alert.severity,
        "alert": f"{alert.use_case} {alert.kind}, {alert.subject}: {alert.message}{resolved}{waiting}",
    }


def _record(recorded: RecordedAlert) -> dict[str, object]:
    alert = recorded.alert
    return {
        "raised_at": recorded.raised_at,
        "resolved_at": recorded.resolved_at,
        "use_case": alert.use_case,
        "kind": alert.kind,
        "subject": alert.subject,
        "severity": alert.severity,
        "message": alert.message,
        "not_delivered": {channel: error or "not tried yet" for channel, error in recorded.waiting.items()},
    }


def _text(record: Mapping[str, Any]) -> dict[str, object]:
    undelivered = (f"{channel}: {error}" for channel, error in record["not_delivered"].items())
    return {**record, "not_delivered": "; ".join(undelivered)}


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
        say(f"{channel}: {failures[channel] or f'delivered to {place}'}")
    return int(any(failures.values()))
