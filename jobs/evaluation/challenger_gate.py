"""The gate of a challenger: the usual checks, on the events since the change whose labels are known.

Mature rows are older than the change, and the challenger learned from them. When a challenger is trained, its
cross-fitted scores of the events since the change are compared with champion and baselines, overall and by guard slice
(`challenger_checks`), and the ledger holds the result. `judge_challenger` makes the verdict from it and from the
candidate's own limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.evaluation import gate
from jobs.evaluation.paired_comparison import ComparedRows, Contender, PairedComparison
from jobs.evaluation.verdict import GateCheck, GateVerdict
from jobs.ledger.challenges import ChallengeRecord
from jobs.limits import Limits

BETTER = "better_than_champion"


def challenger_checks(
    candidate: Contender,
    champion: Contender,
    baselines: Sequence[Contender],
    rows: ComparedRows,
    limits: Limits,
    level: float,
    follows: bool,
) -> tuple[GateCheck, ...]:
    """The gate's comparisons on the events since the change, the one with the champion first.

    Args:
        level: one-sided confidence that the challenger is better.
        follows: whether the champion was itself trained for this change, on fewer events. It then stays only if it is
            better beyond noise, as labels are too young to prove every improvement.
    """
    better, *others = PairedComparison.of(candidate, champion, baselines, rows).checks(limits, level)
    return (_against_champion(better, follows), *others)


def _against_champion(check: GateCheck, follows: bool) -> GateCheck:
    beyond, worse = check.numbers["lower"] > 0, check.numbers["upper"] <= 0
    passed = not worse if follows else beyond
    message = "better beyond noise" if beyond else "not worse beyond noise" if passed else "not better beyond noise"
    return replace(check, outcome="passed" if passed else "failed", message=message)


def judge_challenger(
    candidate: Contender,
    challenge: ChallengeRecord,
    champion: tuple[int, str] | None,
    limits: Limits,
    about: Mapping[str, Any],
) -> GateVerdict:
    """The verdict about a challenger, from its challenge as the ledger holds it.

    Args:
        candidate: measured on mature rows, for its latency, size and parity.
        champion: version and sha256 of the bundle in production now.
        about: as `jobs.evaluation.evaluate` describes mature rows.
    """
    evidence = challenge.evidence
    window = {"start": evidence["since"], "end": about["window"]["end"]}
    described = {name: evidence[name] for name in ("rows", "positives", "metrics", "look") if name in evidence}
    described |= {"candidate": candidate.name, "window": window, "challenge": challenge.digest}
    described["left_out"] = [*evidence["left_out"]]
    if champion != (challenge.champion_version, challenge.champion_sha256):
        checks = [_another_champion(challenge, champion)]
    else:
        checks = [GateCheck.of_stored(check) for check in evidence["checks"]]
    return GateVerdict((*checks, *gate.within(candidate, limits)), {**about, **described})


def _another_champion(challenge: ChallengeRecord, champion: tuple[int, str] | None) -> GateCheck:
    now = f"version {champion[0]}" if champion else "no model"
    message = f"compared with version {challenge.champion_version}, but {now} is in production now; train again"
    return GateCheck(BETTER, "failed", message)
