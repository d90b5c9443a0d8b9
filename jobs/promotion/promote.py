"""From candidate to champion: the gate's verdict, one transaction in the ledger, then the registry's aliases.

Decisions of people are in `jobs.promotion.approvals`. Callers pass both clocks: `as_of` is the moment of the use case's
world, `now` that of the decision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from jobs.ledger import challenges, looks, promotions
from jobs.ledger.promotions import Champion, Evaluation, LedgerView, PromotionDecision
from jobs.registry import provenance
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.evaluation.evaluate import ContenderVersion
    from jobs.evaluation.gate import TakeLook
    from jobs.lakehouse.tables import Lakehouse
    from jobs.ledger.challenges import ChallengeRecord
    from jobs.limits import Limits
    from jobs.stats.alpha_spending import Look

AUTOMATIC = "evergreen"


class Registry(Protocol):
    """A registry of model versions, such as `jobs.registry.model_versions`. Errors of a registry that is down are not
    caught."""

    def latest_candidate(self, settings: Settings, use_case: UseCase) -> int | None:
        """The version with the alias `candidate`."""

    def fetch(self, settings: Settings, use_case: UseCase, version: int, sha256: str | None = None) -> Bundle:
        """The verified bundle of a version. Raises ValueError if it is missing, corrupt or another one."""

    def register_baseline(self, settings: Settings, use_case: UseCase, bundle: Bundle) -> int:
        """The version that a baseline's bundle is, made if need be."""

    def set_aliases(self, settings: Settings, use_case: UseCase, aliases: Mapping[str, int | None]) -> None:
        """Point aliases at versions; None takes an alias away."""


@dataclass(frozen=True)
class Judged:
    """The result of judging the candidate; `evaluation` is None if there was no candidate to judge."""

    message: str
    evaluation: Evaluation | None = None


def judge(
    lakehouse: Lakehouse, use_case: UseCase, registry: Registry, as_of: datetime, patience: timedelta = timedelta(0)
) -> Judged:
    """Evaluate the registry's candidate against the champion; the same comparison is made once.

    With nobody in production, or a provisional champion, the question is who is the first: see
    `jobs.promotion.first_champion`.

    Args:
        patience: a refused version is judged again on newer rows only after this time, as a candidate that is judged
            every night passes by chance.

    Raises:
        ValueError: as `jobs.evaluation.evaluate.evaluate`.
        Exception: the registry does not answer.
    """
    settings, ledger = lakehouse.settings, promotions.view(lakehouse.settings, use_case)
    version = registry.latest_candidate(settings, use_case)
    if version is None:
        return Judged("there is no candidate yet")
    if why := _not_judged(ledger, version, as_of, patience):
        return Judged(why)
    return _evaluated(lakehouse, use_case, registry, version, ledger, as_of)


def _not_judged(ledger: LedgerView, version: int, as_of: datetime, patience: timedelta) -> str | None:
    """Why this version is not judged now; None: it is."""
    if ledger.champion and ledger.champion.version == version and not ledger.provisional:
        return f"the candidate, version {version}, is the champion already"
    lately = None if ledger.provisional else _judged_lately(ledger, version, as_of, patience)
    return barred(ledger, version) or _too_early(ledger, as_of) or lately


def _evaluated(
    lakehouse: Lakehouse, use_case: UseCase, registry: Registry, version: int, ledger: LedgerView, as_of: datetime
) -> Judged:
    settings, incumbent = lakehouse.settings, ledger.champion
    candidate = _contender(settings, use_case, registry, version, None)
    state = lakehouse.state(use_case.training_set)
    challenge = challenges.of_bundle(settings, use_case, candidate.bundle.sha256) if candidate.bundle else None
    rows = {**state, "challenge": challenge.digest} if challenge else state
    digest = _digest(use_case.name, candidate, incumbent, rows, repr(problem_of(use_case)))
    if earlier := promotions.evaluation(settings, digest):
        return Judged("judged before, on the same rows and against the same champion", earlier)
    champion = None
    if incumbent is not None:
        champion = _contender(settings, use_case, registry, incumbent.version, incumbent.sha256)
    evaluation = Evaluation(
        digest=digest,
        use_case=use_case.name,
        as_of=as_of,
        model_version=version,
        sha256=candidate.bundle.sha256 if candidate.bundle else "",
        champion_version=incumbent.version if incumbent else None,
        passed=False,
        needs_person=False,
        evidence={},
        versions={use_case.training_set: lakehouse.version(use_case.training_set), **state.get("versions", {})},
    )

    def take_look(limits: Limits) -> Look:
        return looks.take(settings, looks.Question(digest, use_case.name, incumbent, as_of, 1 - limits.level))

    if champion is None or ledger.provisional:
        return _first(lakehouse, use_case, registry, (candidate, champion), evaluation, take_look)
    return _replacing(lakehouse, use_case, (candidate, champion), challenge, evaluation, take_look)


def _replacing(
    lakehouse: Lakehouse,
    use_case: UseCase,
    rivals: tuple[ContenderVersion, ContenderVersion],
    challenge: ChallengeRecord | None,
    evaluation: Evaluation,
    take_look: TakeLook,
) -> Judged:
    """The candidate judged against the champion."""
    from jobs.evaluation.evaluate import evaluate

    verdict = evaluate(lakehouse, use_case, *rivals, evaluation.as_of, challenge, take_look)
    evidence = provenance.plain(verdict.evidence)
    person = problem_of(use_case).approval != "automatic" or "champion_left_out" in evidence
    judged = replace(evaluation, passed=verdict.promoted, needs_person=person, evidence=evidence)
    return Judged("judged now", promotions.record_evaluation(lakehouse.settings, judged))


def _first(
    lakehouse: Lakehouse,
    use_case: UseCase,
    registry: Registry,
    rivals: tuple[ContenderVersion, ContenderVersion | None],
    evaluation: Evaluation,
    take_look: TakeLook,
) -> Judged:
    """The best contender judged as the first champion, and registered if it is a baseline that passed."""
    from jobs.promotion import first_champion
    from jobs.training import candidate as training

    settings, problem, (candidate, champion) = lakehouse.settings, problem_of(use_case), rivals
    choice = first_champion.choose(lakehouse, use_case, rivals, evaluation.as_of, take_look)
    if champion is not None and choice.provisional:
        enough = choice.verdict.checks[0].message
        return Judged(f"{champion.name} stays champion provisionally; {enough}")
    version, bundle, passed = choice.version, choice.bundle, choice.verdict.promoted
    if passed and version is None and bundle is not None:
        training.pin(settings, use_case, bundle.manifest.training)
        version = registry.register_baseline(settings, use_case, bundle)
    judged = replace(
        evaluation,
        model_version=version or candidate.version,
        sha256=bundle.sha256 if bundle and version else evaluation.sha256,
        passed=passed,
        needs_person=problem.approval == "manual" or (choice.provisional and problem.first == "manual"),
        evidence=provenance.plain(choice.verdict.evidence),
    )
    return Judged("judged now", promotions.record_evaluation(settings, judged))


def promote(
    lakehouse: Lakehouse,
    use_case: UseCase,
    registry: Registry,
    as_of: datetime,
    now: datetime,
    patience: timedelta = timedelta(0),
) -> tuple[Judged, PromotionDecision | None]:
    """Judge the candidate, record the decision in one transaction, then update the registry.

    Returns:
        The result of judging, and the decision (new, or the earlier one about the same evidence; a refusal, too). The
        decision is None if there was no candidate to judge.
    """
    judged = judge(lakehouse, use_case, registry, as_of, patience)
    decision = _decided(lakehouse.settings, judged.evaluation, now) if judged.evaluation else None
    reconcile(lakehouse.settings, use_case, registry)
    return judged, decision


def reconcile(settings: Settings, use_case: UseCase, registry: Registry) -> dict[str, int | None]:
    """Bring the exported online model (if there is one) and the registry's aliases in line with the ledger; returns the
    aliases.

    It is idempotent, and repairs a registry that was down.
    """
    from jobs.promotion import export_onnx

    ledger = promotions.view(settings, use_case)
    if ledger.champion is None:
        return {}
    export_onnx.restore(settings, use_case, ledger.champion.version, ledger.champion.sha256)
    aliases = {"champion": ledger.champion.version, "previous": ledger.previous.version if ledger.previous else None}
    registry.set_aliases(settings, use_case, aliases)
    return aliases


def barred(ledger: LedgerView, version: int) -> str | None:
    """Why only a person may promote this version; None: a run may."""
    if version in ledger.rolled_back:
        return f"version {version} was rolled back; only `evergreen rollback --to {version}` brings it back"
    last = ledger.last(version)
    if last and last.outcome == "rejected":
        return f"version {version} was rejected by {last.by}: {last.reason}"
    return None


def _too_early(ledger: LedgerView, as_of: datetime) -> str | None:
    """A champion of a later moment may have been trained on the very rows that it would be judged on."""
    if ledger.champion is None or ledger.champion.since <= as_of:
        return None
    champion = ledger.champion
    return f"version {champion.version} is in production since {champion.since.isoformat()}, after this as_of"


def _judged_lately(ledger: LedgerView, version: int, as_of: datetime, patience: timedelta) -> str | None:
    """Why a refused version is not judged again yet; one that had too few rows is."""
    last = ledger.last(version)
    if last is None or last.outcome != "refused" or not timedelta(0) < as_of - last.as_of < patience:
        return None
    enough = last.evidence.get("checks", {}).get("enough_rows", {}).get("outcome") != "failed"
    now = ledger.champion.version if ledger.champion else None
    if not enough or last.champion_version != now:
        return None
    again = last.as_of + patience
    refused = f"version {version} was refused as of {last.as_of:%Y-%m-%d}"
    return f"{refused}; judged again from {again:%Y-%m-%d} on: {last.reason}"


def _decided(settings: Settings, evaluated: Evaluation, now: datetime) -> PromotionDecision:
    """The decision that follows from an evaluation, recorded."""
    reasons, checks = evaluated.evidence["reasons"], evaluated.evidence["checks"]
    passed: promotions.DecisionOutcome = "waiting" if evaluated.needs_person else "promoted"
    named = dict.fromkeys(["better_than_champion", *(name for name in checks if name.startswith("better_than_"))])
    better = [checks[name]["said"] for name in named if name in checks]
    if evaluated.evidence.get("provisional"):
        better = [f"provisional, {checks['enough_rows']['said']}", *better]
    left_out = evaluated.evidence.get("champion_left_out")
    decision = PromotionDecision(
        use_case=evaluated.use_case,
        decided_at=now,
        as_of=evaluated.as_of,
        kind="promotion",
        outcome=passed if evaluated.passed else "refused",
        reason="; ".join(reasons or [*better, *([left_out] if left_out else [])]),
        by=AUTOMATIC,
        authenticated=True,
        model_version=evaluated.model_version,
        sha256=evaluated.sha256,
        champion_version=evaluated.champion_version,
        digest=evaluated.digest,
        evidence=evaluated.evidence,
        versions=evaluated.versions,
    )
    return promotions.decide(settings, decision, lambda ledger: barred(ledger, evaluated.model_version))


def _contender(
    settings: Settings, use_case: UseCase, registry: Registry, version: int, sha256: str | None
) -> ContenderVersion:
    """A version with its bundle, or with the reason why that cannot be used."""
    from jobs.evaluation.evaluate import ContenderVersion

    try:
        return ContenderVersion(version, registry.fetch(settings, use_case, version, sha256))
    except ValueError as error:
        return ContenderVersion(version, None, str(error))


def _digest(
    name: str, candidate: ContenderVersion, champion: Champion | None, rows: Mapping[str, Any], problem: str
) -> str:
    """Identifies a comparison: who, against whom, on which rows (compaction changes none), by which declaration."""
    who = candidate.bundle.sha256 if candidate.bundle else f"version {candidate.version}: {candidate.why}"
    whom = [champion.version, champion.sha256] if champion else None
    content = json.dumps([name, candidate.version, who, whom, rows, problem], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
