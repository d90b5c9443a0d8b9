"""The gate of a challenger: its comparison with the champion since the change, and the limits of every candidate.

Mature rows, that other candidates are judged on, are of the world before the change: guard slices and baselines cannot
be judged yet, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.evaluation import gate
from jobs.evaluation.gate import Check, Contender, Limits, Verdict

LEFT_OUT = "guard slices and baselines: mature rows are of before the change; they are judged with a later model"


def judge(
    candidate: Contender, comparison: Mapping[str, Any], champion: int | None, limits: Limits, about: Mapping[str, Any]
) -> Verdict:
    """Decide on a challenger.

    Args:
        comparison: as `jobs.retraining.challenger` left it in the manifest.
        champion: who is in production now.
        about: as `jobs.evaluation.evaluate` says it of mature rows.
    """
    told = {
        "candidate": candidate.name,
        "rows": comparison["rows"],
        "positives": comparison["positives"],
        "window": {"start": comparison["since"], "end": about["window"]["end"]},
        "left_out": [*about["left_out"], LEFT_OUT],
        "metrics": {name: {"average_precision": value} for name, value in comparison["tried"].items()},
    }
    checks = (_better(comparison, champion), *gate.within(candidate, limits))
    return Verdict(checks, {**about, **told})


def _better(comparison: Mapping[str, Any], champion: int | None) -> Check:
    name = "better_than_champion"
    if comparison["champion"] != champion:
        said = (
            f"compared with version {comparison['champion']}, but version {champion} is in production now; train again"
        )
        return Check(name, "failed", said)
    better = comparison["better"]
    beyond = comparison["lower"] > 0
    found = "better beyond noise" if beyond else "not worse beyond noise" if better else "not better beyond noise"
    said = f"{found} since the change: {comparison['said']}"
    numbers = {key: float(comparison[key]) for key in ("candidate", "rival", "lower", "upper")}
    difference = numbers["candidate"] - numbers["rival"]
    return Check(name, "passed" if better else "failed", said, {**numbers, "difference": difference})
