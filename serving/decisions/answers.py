"""What a client is told of a decision, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from jobs.decisions.log_contents import Decided
from jobs.decisions.reasons import Reason
from jobs.rollout_strategy import CHAMPION

_EPOCH = datetime(1970, 1, 1)


def moment(stamp: int) -> str:
    """A moment in ISO 8601, UTC, to the microsecond."""
    return f"{(_EPOCH + timedelta(microseconds=stamp)).isoformat(timespec='microseconds')}Z"


_moment_of_base = lru_cache(moment)
"""The same for few moments that are told again and again."""


def answer(
    id_column: str, decided: Decided, base: int, features: Sequence[str] = (), reasons: Sequence[Reason] | None = None
) -> dict[str, Any]:
    """
    Args:
        id_column: name of the event's id.
        base: moment of the tables that the service stands on.
        features: names of the features to tell; none: they are not asked for.
    """
    outcome = decided.outcome
    told: dict[str, Any] = {
        id_column: decided.id, "decision": outcome.decision, "score": outcome.score,
        "model_version": decided.model_version, "decided_at": moment(decided.decided_at),
        # Everything that was appended before is known: only tables are as old as the server's start.
        "freshness": {"seconds": decided.staleness / 1e6, "tables_as_of": _moment_of_base(base)},
        "fallback": decided.fallback,
    }  # fmt: skip
    further = {
        "prediction": outcome.prediction, "probabilities": outcome.probabilities, "lower": outcome.lower,
        "upper": outcome.upper, "reason": decided.reason, "reasons": reasons,
        "arm": None if decided.arm == CHAMPION else decided.arm,
    }  # fmt: skip
    told |= {name: value for name, value in further.items() if value is not None}
    if features:
        told["features"] = dict(zip(features, decided.features, strict=False))
    return told
