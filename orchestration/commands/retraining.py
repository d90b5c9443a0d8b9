"""`evergreen retraining`: parsing and printing; `jobs.retraining.decisions` reads the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import details_option, json_option, print_details, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.retraining.decisions import RecordedDecision


@click.command()
@use_case_option
@click.option("--last", type=click.IntRange(1, 10**6), default=20, show_default=True, help="Number of decisions.")
@details_option
@json_option
def retraining(name: str, last: int, details: bool, as_json: bool) -> None:
    """Print the last decisions whether to train, with reason and result, latest first."""
    from jobs.retraining import decisions

    rows = decisions.rows(settings_module.load(), use_case_named(name))
    latest, now = list(reversed(rows[-last:])), datetime.now(UTC)
    described = [decisions.described(row, now) for row in latest]
    if as_json:
        print_json([_record(row, text["result"]) for row, text in zip(latest, described, strict=True)])
    elif not latest:
        say(f"Nothing was decided about trainings of {name} yet; `evergreen run` decides about the first one.")
    elif details:
        print_details(f"trainings of {name}", described)
    else:
        print_table(f"trainings of {name} (--details prints all fields)", [_short(row) for row in described])


def _short(row: Mapping[str, str]) -> dict[str, object]:
    result = f"\n-> {row['result']}" if row["result"] else ""
    return {"as of": row["as of"], "train": row["retrain"], "reason, and -> result": row["reason"] + result}


def _record(row: RecordedDecision, result: str) -> dict[str, object]:
    decision = row.decision
    return {
        "as_of": decision.as_of,
        "decided_at": row.decided_at,
        "by": row.by,
        "retrain": decision.retrain,
        "trigger": decision.trigger,
        "reason": decision.reason,
        "alarms": decision.alarms,
        "result": result,
        "model_version": row.model_version,
    }
