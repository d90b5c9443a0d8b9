"""`evergreen models`: parsing and printing; `jobs.ledger.promotions` reads the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import details_option, moment, print_details, print_table, say

if TYPE_CHECKING:
    from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision


@click.command()
@use_case_option
@details_option
def models(name: str, details: bool) -> None:
    """Print the champion, earlier champions, and the decisions about every model version, latest first."""
    from jobs.ledger import promotions

    view = promotions.view(settings.load(), use_case_named(name))
    if not view.decisions:
        say(f"Nothing was decided about models of {name} yet; `evergreen run` trains and judges them.")
        return
    print_table(f"champions of {name}", [_period(view, champion) for champion in reversed(view.champions)])
    decisions = list(reversed(view.decisions))
    if details:
        print_details("decisions", [_detailed(decision) for decision in decisions])
    else:
        print_table("decisions (--details prints all fields)", [_short(decision) for decision in decisions])


def _period(view: LedgerView, champion: Champion) -> dict[str, object]:
    alias = "champion" if champion is view.champion else "previous" if champion == view.previous else ""
    since, until = moment(champion.since), moment(champion.until)
    return {"version": champion.version, "alias": alias, "since": since, "until": until, "decision": champion.decision}


def _short(decision: PromotionDecision) -> dict[str, object]:
    """What fits a line: people are named, a promotion by a run is not."""
    by_a_person = decision.kind != "promotion"
    return {
        "id": decision.id,
        "as of": f"{decision.as_of:%Y-%m-%d}",
        "version": decision.model_version,
        "kind": decision.kind,
        "outcome": decision.outcome,
        "reason": f"{decision.reason} (by {decision.by})" if by_a_person else decision.reason,
    }


def _detailed(decision: PromotionDecision) -> dict[str, object]:
    return {
        "id": decision.id,
        "as of": moment(decision.as_of),
        "decided at": moment(decision.decided_at),
        "version": decision.model_version,
        "champion before": decision.champion_version or "",
        "kind": decision.kind,
        "outcome": decision.outcome,
        "by": decision.by if decision.authenticated else f"{decision.by} (unauthenticated)",
        "reason": decision.reason,
    }
