"""`evergreen whatif`: parsing and printing; estimates are made in `jobs.off_policy`."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings
from jobs.errors import Invalid
from orchestration.options import VERSION, Between, use_case_named, use_case_option
from orchestration.printing import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.off_policy.policy_value import Measured, PolicyValue
    from jobs.stats.off_policy import Estimate

SHOWN = "doubly_robust"
"""The estimator of the table; --all shows every one."""


@click.command()
@use_case_option
@click.option("--model", "version", type=VERSION, help="Version that scores; default: the champion.")
@click.option("--threshold", type=Between(0, 1), help="Score of an alert; default: that of the model.")
@click.option("--block", type=Between(0, 1), help="Score from which on events are blocked; default: that of the model.")
@click.option("--all", "every", is_flag=True, help="Print every estimator.")
@json_option
def whatif(
    name: str, version: int | None, threshold: float | None, block: float | None, every: bool, as_json: bool
) -> None:
    """Estimate from the prediction log what another threshold or model version would have been worth."""
    from jobs.lakehouse.tables import attach
    from jobs.off_policy import policy_log
    from jobs.off_policy.policy_value import Policy, policy_value
    from jobs.registry.champion_bundles import Champions
    from jobs.use_case import problem_of

    lakehouse, use_case = attach(settings.load()), use_case_named(name)
    champions = Champions(lakehouse.settings)
    of = champions.at(use_case, None) if version is None else champions.version(use_case, version)
    if of is None:
        raise Invalid(f"{name}: expected a champion or --model, found neither; `evergreen run` trains")
    manifest = of[1].manifest
    policy = Policy(manifest.threshold if threshold is None else threshold, manifest.block if block is None else block)
    as_of = policy_log.latest_moment(lakehouse, use_case, datetime.now(UTC))
    log = policy_log.read(lakehouse, use_case, champions, of[0], as_of)
    found = policy_value(log, policy, problem_of(use_case))
    if as_json:
        print_json({"model": of[0], **asdict(policy), **asdict(found)})
    else:
        _print(f"{name}: version {of[0]}, alerts from {policy.threshold:g} on", found, every)


def _print(title: str, found: PolicyValue, every: bool) -> None:
    rows = [
        _row(each, every) for each in found.measured if every or each.estimate.estimator == SHOWN or each.gain is None
    ]
    print_table(f"{title}; {found.events:,} mature events of {found.days} days", rows)
    say(f"alerts a day: {found.alerts_a_day:.1f}, in the log {found.alerts_a_day_logged:.1f}")
    say(f"the labels seen tell as much as those of {found.effective:,.0f} events with equal chances")
    for warning in found.warnings:
        say(warning)


def _row(each: Measured, every: bool) -> dict[str, object]:
    by = {"by": each.estimate.estimator.replace("_", " ")} if every else {}
    gain = "" if each.gain is None else f"{_number(each.gain.value)} ({_interval(each.gain)})"
    return {
        "measure": each.measure.replace("_", " "),
        **by,
        "value": _number(each.estimate.value),
        "95 %": _interval(each.estimate),
        "more than logged": gain,
    }


def _interval(estimate: Estimate) -> str:
    known = math.isfinite(estimate.lower) and math.isfinite(estimate.upper)
    return f"{_number(estimate.lower)} to {_number(estimate.upper)}" if known else "too few to say"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
