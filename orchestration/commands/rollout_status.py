"""`evergreen rollout status`, and what the other commands of rollouts print."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs import settings as settings_module
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import json_option, moment, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.ledger.rollouts import Rollout
    from jobs.rollouts.arm_findings import ArmFindings
    from jobs.rollouts.forecast import Forecast
    from jobs.rollouts.steps import Looked


@click.command()
@use_case_option
@click.option("--all", "all_of_them", is_flag=True, help="Ended ones too.")
@json_option
def status(name: str, all_of_them: bool, as_json: bool) -> None:
    """Print what is known of each arm by now, and what would follow; changes nothing."""
    from jobs.lakehouse.tables import attach
    from jobs.ledger import rollouts
    from jobs.rollouts import steps

    settings, use_case = settings_module.load(), use_case_named(name)
    looked = steps.look(attach(settings), use_case, datetime.now(UTC))
    ended = [each for each in rollouts.of_use_case(settings, name) if each.ended_at] if all_of_them else []
    if as_json:
        print_json([*map(_record, ended), *map(_looked_record, looked)])
        return
    for rollout in ended:
        print_rollout(rollout)
    for each in looked:
        print_looked(each)
    if not looked and not ended:
        say(f"No rollout of {name} is going on; `evergreen rollout start` begins one.")


def print_started(rollout: Rollout, told: Forecast) -> None:
    """Print a rollout that was started, and what it can find."""
    print_rollout(rollout)
    for line in told.sentences():
        say(line)


def print_looked(looked: Looked) -> None:
    """Print a rollout, its arms and what follows."""
    print_rollout(looked.rollout)
    for name, arm in looked.found.items():
        rows = list(_findings(arm))
        if rows:
            print_table(f"{looked.rollout.name}, {name}: {arm.events} events", rows)
        if arm.business:
            print_table(f"{looked.rollout.name}, {name}: in terms of the business", _business(arm))
    say(f"{looked.verdict.kind or 'nothing yet'}: {looked.verdict.reason}\n")


def print_rollout(rollout: Rollout) -> None:
    """Print a rollout's state and its last change."""
    shares = ", ".join(f"{arm.name} {rollout.shares.get(arm.name, 0.0):.0%}" for arm in rollout.arms)
    last = rollout.changes[-1]
    facts = {
        "state": f"{rollout.state}, {rollout.strategy['kind']}, since {moment(rollout.started_at)}",
        "beside": f"version {rollout.champion_version}, of {rollout.high - rollout.low:.0%} of the entities",
        "shares": shares,
        "last": f"{moment(last.changed_at)} {last.kind} by {last.by}{f': {last.reason}' if last.reason else ''}",
    }
    print_facts(f"rollout {rollout.name}", facts)


def _findings(arm: ArmFindings) -> Iterator[dict[str, object]]:
    for each in arm.findings:
        of = each.observations
        yield {"finding": each.name, "": each.outcome, "in words": each.said, "between": each.span, "of": of}


def _business(arm: ArmFindings) -> list[dict[str, object]]:
    known = {False: "live", True: "matured"}
    return [
        {"": each.name, "champion": round(each.champion, 2), "arm": round(each.arm, 2), "known": known[each.is_matured]}
        for each in arm.business
    ]


def _record(rollout: Rollout) -> dict[str, Any]:
    changes = [vars(change) for change in rollout.changes]
    return {**vars(rollout), "arms": [vars(arm) for arm in rollout.arms], "changes": changes, "state": rollout.state}


def _looked_record(looked: Looked) -> dict[str, Any]:
    from jobs.rollouts.verdict import evidence

    follows = {"kind": looked.verdict.kind, "reason": looked.verdict.reason}
    return _record(looked.rollout) | {"found": evidence(looked.found), "follows": follows}
