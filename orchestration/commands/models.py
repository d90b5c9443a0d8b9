"""`evergreen models`: parsing and printing; `jobs.ledger.promotions` reads the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import details_option, json_option, print_details, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision


@click.command()
@use_case_option
@details_option
@json_option
def models(name: str, details: bool, as_json: bool) -> None:
    """Print the champion, earlier champions, and the decisions about every model version, latest first."""
    from jobs.ledger import promotions

    view = promotions.view(settings.load(), use_case_named(name))
    champions = [_period(view, champion) for champion in reversed(view.champions)]
    decisions = list(reversed(view.decisions))
    if as_json:
        print_json({"champions": champions, "decisions": [_record(decision) for decision in decisions]})
        return
    if not decisions:
        say(f"Nothing was decided about models of {name} yet; `evergreen run` trains and judges them.")
        return
    if champions:
        print_table(f"champions of {name}", champions)
    else:
        say(f"No model of {name} is in production yet.\n")
    if details:
        print_details("decisions", [_record(decision) for decision in decisions])
    else:
        print_table("decisions (--details prints all fields)", [_short(decision) for decision in decisions])


def _period(view: LedgerView, champion: Champion) -> dict[str, object]:
    title = "champion (provisional)" if view.provisional else "champion"
    alias = title if champion is view.champion else "previous" if champion == view.previous else ""
    period = {"since": champion.since, "until": champion.until}
    return {"version": champion.version, "alias": alias, **period, "decision": champion.decision}


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


def _record(decision: PromotionDecision) -> dict[str, object]:
    look = decision.evidence.get("look", {})
    return {
        "id": decision.id,
        "as_of": decision.as_of,
        "decided_at": decision.decided_at,
        "version": decision.model_version,
        "champion_before": decision.champion_version,
        "look": look.get("number"),
        "look_level": look.get("level"),
        "spent": look.get("spent"),
        "kind": decision.kind,
        "outcome": decision.outcome,
        "by": decision.by if decision.authenticated else f"{decision.by} (unauthenticated)",
        "reason": decision.reason,
    }
