"""Who is in production after a run, and if nobody is, why: what `evergreen run` says first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.ledger import promotions
from jobs.ledger.promotions import LedgerView
from jobs.settings import Settings
from jobs.use_case import UseCase


def record(ledger: LedgerView) -> dict[str, Any] | None:
    """The champion for programs; None: nobody is in production."""
    if ledger.champion is None:
        return None
    return {"version": ledger.champion.version, "since": ledger.champion.since, "provisional": ledger.provisional}


def view(settings: Settings, use_case: UseCase) -> LedgerView | None:
    """The ledger of a use case that learns; None: its lineage ends at the training set."""
    return promotions.view(settings, use_case) if use_case.learned else None


def warning(ledger: LedgerView, notes: Mapping[str, str]) -> str | None:
    """What a person has to know before anything else; None if a judged champion is in production.

    Args:
        notes: what assets say of this run, by asset.
    """
    if ledger.champion is None:
        return f"Nobody is in production: {_why_nobody(ledger, notes)}"
    if ledger.provisional:
        reason = next(d.reason for d in reversed(ledger.decisions) if d.outcome == "promoted")
        return f"Version {ledger.champion.version} is champion provisionally: {reason}"
    return None


def _why_nobody(ledger: LedgerView, notes: Mapping[str, str]) -> str:
    if ledger.waiting:
        version = ledger.waiting[-1]
        return f"version {version} waits for `evergreen approve {version} --by NAME --because REASON`"
    if ledger.decisions:
        return ledger.decisions[-1].reason
    told = [note for asset, note in notes.items() if asset.endswith("/candidate") and note]
    return told[0] if told else "no model was trained yet"
