"""`evergreen rollout`: the group; what it prints is in `orchestration.commands.rollout_status`, the work in
`jobs.rollouts`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs import settings as settings_module
from orchestration.commands.approvals import BY
from orchestration.commands.rollout_status import print_looked, print_started, status
from orchestration.options import VERSION, Between, use_case_named, use_case_option
from orchestration.printing import say

if TYPE_CHECKING:
    from jobs.ledger.rollouts import ChangeKind, Rollout
    from jobs.rollout_strategy import Strategy
    from jobs.use_case import UseCase

REASON = click.option("--reason", default="", help="Why, as the ledger will show it.")
NAME = click.argument("rollout_name")
KINDS = ("shadow", "canary", "ab", "bandit")


@click.group()
def rollout() -> None:
    """Bring a new model in beside the champion, step by step, and take it back by itself if it does harm."""


@rollout.command()
@NAME
@click.argument("model_versions", type=VERSION, nargs=-1, required=True)
@use_case_option
@click.option("--strategy", type=click.Choice(KINDS), help="Default: as the use case declares it.")
@click.option(
    "--traffic",
    type=Between(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the entities that take part.",
)
@click.option(
    "--share",
    "shares",
    type=Between(0, 1),
    multiple=True,
    help="Of an A/B test: the share of each version, in their order; default: the same for all.",
)
@click.option("--step-hours", type=click.FloatRange(0), help="How long each step lasts at least.")
@click.option("--least-events", type=click.IntRange(20), help="Events that a step needs at least.")
@BY
@REASON
def start(
    rollout_name: str, model_versions: tuple[int, ...], name: str, by: str, reason: str, **options: Any
) -> None:  # fmt: skip
    """Start ROLLOUT_NAME with MODEL_VERSIONS beside the champion, and say what it can find and when."""
    from jobs.lakehouse.tables import attach
    from jobs.registry.champion_bundles import Champions
    from jobs.rollouts import conduct, forecast
    from jobs.rollouts.conduct import Asked, By

    settings, use_case = settings_module.load(), use_case_named(name)
    strategy, arms = _strategy(use_case, options), _arms(model_versions)
    asked = Asked(rollout_name, strategy, arms, _shares(arms, options["shares"]), options["traffic"], reason)
    lakehouse, champions, now = attach(settings), Champions(settings), datetime.now(UTC)
    told = forecast.forecast(lakehouse, use_case, champions, asked, now)
    print_started(conduct.start(lakehouse, use_case, champions, asked, By(by, now)), told)


def _arms(versions: Sequence[int]) -> dict[str, int]:
    return {f"v{version}": version for version in versions}


def _shares(arms: dict[str, int], shares: Sequence[float]) -> dict[str, float]:
    if shares and len(shares) != len(arms):
        raise click.UsageError(f"--share: expected one for each of {len(arms)} versions, found {len(shares)}")
    return dict(zip(arms, shares, strict=True)) if shares else {}


def _strategy(use_case: UseCase, options: dict[str, Any]) -> Strategy:
    from jobs.use_case import problem_of

    named = {"kind": options["strategy"], "step_hours": options["step_hours"], "least_events": options["least_events"]}
    return replace(
        problem_of(use_case).rollout, **{field: value for field, value in named.items() if value is not None}
    )


@rollout.command()
@use_case_option
def step(name: str) -> None:
    """Look at every rollout now, and do what follows; `evergreen up` does so by itself every half minute."""
    from jobs.lakehouse.tables import attach
    from jobs.registry import model_versions as registry
    from jobs.rollouts import steps

    settings, use_case = settings_module.load(), use_case_named(name)
    looked = steps.step(attach(settings), use_case, registry, datetime.now(UTC))
    if not looked:
        say(f"No rollout of {name} is going on; `evergreen rollout start` begins one.")
    for each in looked:
        print_looked(each)


def _changing(kind: ChangeKind, sentence: str) -> click.Command:
    """The command that changes a rollout by hand."""

    @click.command(help=sentence)
    @NAME
    @use_case_option
    @BY
    @REASON
    def changed(rollout_name: str, name: str, by: str, reason: str) -> None:
        from jobs.rollouts import conduct

        settings, use_case = settings_module.load(), use_case_named(name)
        found = _live(settings, use_case, rollout_name)
        now = conduct.change(settings, use_case, found, kind, conduct.By(by, datetime.now(UTC)), reason)
        say(f"rollout {rollout_name}: {now.state}")

    return changed


def _live(settings: Any, use_case: UseCase, name: str) -> Rollout:
    from jobs.errors import Invalid
    from jobs.ledger import rollouts

    live = rollouts.of_use_case(settings, use_case.name, live=True)
    if found := next((each for each in live if each.name == name), None):
        return found
    names = ", ".join(each.name for each in live) or "none"
    raise Invalid(f"rollout {name}: expected one that goes on ({names}), found no such; `evergreen rollout status`")


rollout.add_command(status)
rollout.add_command(_changing("paused", "Let the champion answer for all, until it is resumed."), "pause")
rollout.add_command(_changing("resumed", "Let the arms answer for their shares again."), "resume")
rollout.add_command(_changing("aborted", "End it; the champion stays."), "abort")
