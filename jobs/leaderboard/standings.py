"""Models compared on the same rows: the objective of each with its interval, and what it gains on the champion.

Who takes part is in `jobs.leaderboard.entrants`. The gate decides about promotions; nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from jobs.arrays import Floats, codes
from jobs.evaluation import contenders
from jobs.evaluation.contenders import Incomparable
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.leaderboard.entrants import Entrant, Role
from jobs.models import runtime
from jobs.registry.bundle import Bundle
from jobs.stats import paired_bootstrap
from jobs.tasks.task import Scores
from jobs.use_case import UseCase, problem_of

RESAMPLES = 400
"""Enough for a standard error to 4 % and ten resamples beyond each end of an interval."""
ALPHA = 0.05
"""Chance that the interval of an objective misses; and that any of the intervals of differences does."""
TIMED_ROWS, ROUNDS = 20_000, 3
"""Rows of one timed call, and calls of which the best counts: another process's work is no property of the model."""


@dataclass(frozen=True)
class Standing:
    """A model and how it did; what is not known is None. The fields are the columns of the stored table."""

    place: int | None
    """1 is best; None: it was not measured, and `note` says why."""
    model: str
    role: Role
    model_version: int | None
    family: str | None
    value: float | None = None
    """The objective, with the ends of its interval."""
    lower: float | None = None
    upper: float | None = None
    gain: float | None = None
    """What it is better by than the champion, with the ends of its interval; below 0, what it is worse by."""
    gain_lower: float | None = None
    gain_upper: float | None = None
    rows: int | None = None
    """Rows that it was measured on."""
    trained_as_of: datetime | None = None
    learned_until: datetime | None = None
    """Time of the latest event that it may have learned from."""
    training_seconds: float | None = None
    microseconds_per_row: float | None = None
    """Of many rows in one call."""
    request_milliseconds: float | None = None
    """Of a single row, at the 99th percentile."""
    sha256: str | None = None
    note: str = ""

    @property
    def better(self) -> bool:
        """Whether it is better than the champion beyond noise."""
        return self.gain_lower is not None and self.gain_lower > 0


def comparable(bundle: Bundle, rows: EvaluationRows) -> None:
    """Raises Incomparable unless the model learned this task from earlier rows, and its features are still there."""
    until = bundle.manifest.learned_until
    if until > rows.start:
        raise Incomparable(f"it learned from events until {until:%Y-%m-%d}, which it would be judged on")
    contenders.features(bundle, rows)


def of_bundle(entrant: Entrant, seconds: Mapping[str, float], before: Mapping[str, Standing]) -> Standing:
    """What is known of an entrant without the rows.

    Args:
        seconds: of trainings, by the bundle's hash.
        before: of the last board by the bundle's hash; a prediction's cost is measured once.
    """
    bundle = entrant.bundle
    standing = Standing(None, entrant.model, entrant.role, entrant.version, None, note=entrant.note)
    if bundle is None:
        return standing
    manifest, known = bundle.manifest, before.get(bundle.sha256)
    return replace(
        standing,
        family=manifest.family,
        trained_as_of=datetime.fromisoformat(manifest.as_of),
        learned_until=manifest.learned_until,
        training_seconds=seconds.get(bundle.sha256),
        microseconds_per_row=known.microseconds_per_row if known else None,
        request_milliseconds=known.request_milliseconds if known else None,
        sha256=bundle.sha256,
    )


def timed(standing: Standing, bundle: Bundle, rows: EvaluationRows) -> Standing:
    """The standing with the cost of a prediction, measured unless it is known."""
    if standing.microseconds_per_row is not None:
        return standing
    given, session = contenders.features(bundle, rows)[:TIMED_ROWS], bundle.session()
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        runtime.score(session, given)
        seconds.append(time.perf_counter() - began)
    return replace(
        standing,
        microseconds_per_row=1e6 * min(seconds) / len(given),
        request_milliseconds=contenders.latency_ms(session, given),
    )


def compared(
    use_case: UseCase, rows: EvaluationRows, measured: Sequence[tuple[Standing, Scores]]
) -> tuple[Standing, ...]:
    """The standings with their figures, the best first, by a paired bootstrap of the problem's blocks.

    Intervals of the objective hold each for itself; those of gains hold together (Bonferroni), so that the best of many
    models is not taken for better than the champion. Blocks are numbered by their names: in whatever order the rows of
    a table that was made again lie, the draws are the same.

    Args:
        measured: standings with the scores of the rows.
    """
    problem, task = problem_of(use_case), rows.task
    gate, blocks = rows.for_gate(problem), codes("blocks", rows.column(use_case.cluster_key), len(rows))[1]
    everything, size = [np.ones(len(rows), dtype=bool)], int(blocks.max()) + 1
    prepared = [task.resampled(rows.labels, scores, blocks, everything, gate.values) for _, scores in measured]
    drawn = paired_bootstrap.resampled(prepared, size, RESAMPLES, problem.seed)
    values = np.vstack([paired_bootstrap.observed(prepared, size), drawn])
    gains = values if task.greater_is_better else -values
    champion = next((n for n, (each, _) in enumerate(measured) if each.role == "champion"), None)
    level = 1 - ALPHA / 2 / max(1, len(measured) - 1)
    order = np.argsort(-gains[0], kind="stable")
    places = {int(n): place for place, n in enumerate(order, 1)}
    return tuple(
        replace(
            measured[n][0], place=places[n], rows=len(rows), **_objective(values[:, n]),
            **({} if champion in (None, n) else _gain(gains[:, n] - gains[:, champion], level)),
        )
        for n in map(int, order)
    )  # fmt: skip


def _objective(values: Floats) -> dict[str, Any]:
    lower, upper = paired_bootstrap.interval(values, 1 - ALPHA / 2)
    return {"value": float(values[0]), "lower": lower, "upper": upper}


def _gain(difference: Floats, level: float) -> dict[str, Any]:
    lower, upper = paired_bootstrap.normal_interval(difference, level, 0.0)
    return {"gain": float(difference[0]), "gain_lower": lower, "gain_upper": upper}
