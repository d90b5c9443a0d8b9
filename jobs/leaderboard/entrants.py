"""Who is on the leaderboard: the champion, former champions, the candidate, families that lost, and baselines.

How they are compared is in `jobs.leaderboard.standings`. A model that cannot be read takes part with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from jobs.errors import EvergreenError
from jobs.ledger import promotions
from jobs.ledger.promotions import LedgerView
from jobs.promotion.promote import Registry
from jobs.registry.bundle import Bundle, open_bundle
from jobs.settings import Settings
from jobs.training import family_models
from jobs.use_case import UseCase, problem_of

Role = Literal["champion", "former champion", "candidate", "family", "baseline"]


@dataclass(frozen=True)
class Entrant:
    """A model that takes part."""

    model: str
    """Its name: `version 3`, a family, or a baseline."""
    role: Role
    bundle: Bundle | None
    """None: it cannot be read; `note` says why."""
    note: str = ""
    version: int | None = None
    """In the registry; None: it is not registered."""


def registered(settings: Settings, use_case: UseCase, registry: Registry, as_of: datetime | None) -> list[Entrant]:
    """The champion first, then former champions, the latest first, then the candidate if it is none of them.

    Args:
        as_of: of the ledger's champions only those since then or before take part; None: all.
    """
    ledger = promotions.view(settings, use_case)
    periods = [period for period in reversed(ledger.champions) if as_of is None or period.since <= as_of]
    versions = {period.version: period.sha256 for period in periods}
    found: list[Entrant] = []
    for version, sha256 in versions.items():
        role: Role = "former champion" if found else "champion"
        entrant = Entrant(f"version {version}", role, None, version=version)
        found.append(_fetched(settings, use_case, registry, entrant, sha256))
    if found and found[0].role == "champion" and ledger.provisional and found[0].bundle is not None:
        found[0] = replace(found[0], note="provisional")
    return [*found, *_candidate(settings, use_case, registry, ledger, versions)]


def _candidate(
    settings: Settings, use_case: UseCase, registry: Registry, ledger: LedgerView, known: dict[int, str]
) -> Iterator[Entrant]:
    try:
        version = registry.latest_candidate(settings, use_case)
    except EvergreenError as error:
        yield Entrant("the candidate", "candidate", None, f"cannot be read: {error}")
        return
    if version is None or version in known:
        return
    decision = ledger.last(version)
    entrant = Entrant(f"version {version}", "candidate", None, version=version)
    yield _fetched(settings, use_case, registry, entrant, (decision.sha256 or None) if decision else None)


def _fetched(
    settings: Settings, use_case: UseCase, registry: Registry, entrant: Entrant, sha256: str | None
) -> Entrant:
    assert entrant.version is not None
    try:
        return replace(entrant, bundle=registry.fetch(settings, use_case, entrant.version, sha256))
    except (EvergreenError, ValueError, OSError) as error:
        return replace(entrant, note=f"its bundle cannot be read: {error}")


def families(settings: Settings, use_case: UseCase, versions: Sequence[Entrant]) -> Iterator[Entrant]:
    """The declared families that lost in the last training; one that is among the versions needs no other model."""
    present = {each.bundle.manifest.family for each in versions if each.bundle}
    for family in problem_of(use_case).families:
        folder = family_models.folder_of(settings, use_case, family.name)
        try:
            if folder.exists() or family.name not in present:
                yield Entrant(family.name, "family", open_bundle(folder))
        except (EvergreenError, ValueError, OSError):
            why = "no model of it is kept" if not folder.exists() else "its model is damaged"
            yield Entrant(family.name, "family", None, f"{why}; the next training in which it loses keeps one")


def last_trained(versions: Sequence[Entrant]) -> Bundle | None:
    """The latest of the versions that the usual training made: no challenger and no baseline."""
    usual = [
        each.bundle
        for each in versions
        if each.bundle and not {"recipe", "baseline"} & each.bundle.manifest.training.keys()
    ]
    return max(usual, key=lambda bundle: bundle.manifest.as_of, default=None)
