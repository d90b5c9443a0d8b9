"""Checks of `jobs.checks` as Dagster shows them: declared with the asset, reported with its materialization."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from jobs.checks.check import Check, Outcome
from jobs.display import rounded

_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}
_WHY = ("notes", "reason")
"""Metadata in which an asset without anything to look at says why."""


def specs(key: dg.AssetKey, checks: Iterable[Check]) -> list[dg.AssetCheckSpec]:
    """The declarations of the checks of an asset."""
    return [
        dg.AssetCheckSpec(each.name, asset=key, description=each.description, blocking=each.blocking) for each in checks
    ]


def results(outcomes: Iterable[Outcome]) -> list[dg.AssetCheckResult]:
    """Outcomes for Dagster, with what was expected and found."""
    return [
        dg.AssetCheckResult(
            check_name=outcome.check.name,
            passed=outcome.passed,
            severity=_SEVERITIES[outcome.check.severity],
            description=outcome.text,
            metadata={
                **({"expected": outcome.expected, "found": outcome.found} if outcome.expected else {}),
                **{name: rounded(n) if isinstance(n, float) else n for name, n in outcome.numbers.items()},
            },
        )
        for outcome in outcomes
    ]


def completed(checks: Sequence[Check], made: dg.MaterializeResult[Any]) -> dg.MaterializeResult[Any]:
    """What an asset reports, with the checks that it did not judge: its notes or its reason say why.

    Raises AssertionError if it does not say why: every declared check has an outcome.
    """
    judged = {result.check_name for result in made.check_results or ()}
    left = [check for check in checks if check.name not in judged]
    if not left:
        return made
    why = next((_text((made.metadata or {})[name]) for name in _WHY if (made.metadata or {}).get(name)), "")
    if not why:
        raise AssertionError(
            f"expected outcomes of the checks {[check.name for check in left]}, found none and no note"
        )
    missing = results(check.not_judged(why) for check in left)
    return made._replace(check_results=[*(made.check_results or ()), *missing])


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, dg.MetadataValue) else value)
