"""Candidate, champion and baselines on the same latest mature rows, and what the gate says to that.

Nothing is decided or recorded here: see `jobs.promotion.promote`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from jobs.datasets.training_rows import sampled
from jobs.evaluation import baselines, challenger_gate, contenders, evaluation_rows, gate
from jobs.evaluation import seed_noise as training_noise
from jobs.evaluation.contenders import Incomparable
from jobs.evaluation.evaluation_rows import JudgedRows
from jobs.evaluation.gate import Check, Contender, Limits, Verdict
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.protocol import Examples
from jobs.models.tables import examples_of, features_of
from jobs.problem import Problem
from jobs.registry.bundle import Bundle
from jobs.stats import metrics
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True)
class ContenderVersion:
    """A model version that takes part; without a bundle, `why` says what became of it."""

    version: int
    bundle: Bundle | None
    why: str = ""

    @property
    def name(self) -> str:
        return f"version {self.version}"


def evaluate(
    lakehouse: Lakehouse,
    use_case: UseCase,
    candidate: ContenderVersion,
    champion: ContenderVersion | None,
    as_of: datetime,
) -> Verdict:
    """Judge a candidate on the latest mature rows of the training set, as known at `as_of`.

    What makes a candidate unusable is a refusal in the verdict, not an error. A champion that cannot be scored is
    left out; `about["champion_left_out"]` then says why, and nobody should be promoted without a person.

    Raises:
        ValueError: there is no training set, or it was built later than `as_of`; or data or declarations are wrong.
    """
    problem, (version, known) = problem_of(use_case), _training_set(lakehouse, use_case, as_of)
    rows = evaluation_rows.read(lakehouse, use_case, problem, version, known)
    about = _about(use_case, rows, champion)
    try:
        return _judged(lakehouse, use_case, problem, candidate, champion, rows, about)
    except Incomparable as error:
        said = f"{candidate.name} cannot be used: {error}"
        return Verdict((Check("usable", "failed", said),), {"candidate": candidate.name, **about})


def _training_set(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> tuple[int, datetime]:
    """Version of the training set, and the moment that it knows the world at."""
    table = use_case.training_set
    version, state = lakehouse.version(table), lakehouse.state(table)
    if version is None or "as_of" not in state:
        raise ValueError(f"{table}: expected a training set, found none; build it first")
    known = datetime.fromisoformat(state["as_of"])
    if known > as_of:
        raise ValueError(
            f"{table}: expected a training set as of {as_of.isoformat()}, found one that knows more, as of "
            f"{known.isoformat()}; build it as of that moment first"
        )
    return version, known


def _about(use_case: UseCase, rows: JudgedRows, champion: ContenderVersion | None) -> dict[str, Any]:
    window = {"start": rows.start.isoformat(), "end": rows.end.isoformat()}
    left_out = list(rows.left_out)
    return {
        "champion": champion.name if champion else None,
        "rows": len(rows),
        "positives": int(rows.labels.sum()),
        "window": window,
        "rows_version": rows.version,
        "left_out": left_out,
    }


def _judged(
    lakehouse: Lakehouse,
    use_case: UseCase,
    problem: Problem,
    candidate: ContenderVersion,
    champion: ContenderVersion | None,
    rows: JudgedRows,
    about: dict[str, Any],
) -> Verdict:
    bundle = _usable(use_case, candidate)
    if not 0 < rows.labels.sum() < len(rows):
        return _too_few(candidate, rows, about)
    mine = contenders.measured(candidate.name, bundle, rows)
    if comparison := bundle.manifest.training.get("comparison"):
        limits = Limits(problem.latency_ms, problem.size_bytes, training_noise=0.0)
        return challenger_gate.judge(mine, comparison, champion.version if champion else None, limits, about)
    rival = _rival(use_case, champion, rows, about)
    train = baselines.training_rows(
        lakehouse, use_case, rows.version, bundle.manifest.names, rows.start - use_case.label_maturity
    )
    found = baselines.baselines(problem, train, rows)
    about["left_out"] += found.left_out
    noise = _noise(use_case, problem, bundle, train, rows)
    everyone = [mine, *((rival,) if rival else ()), *found.contenders]
    about["metrics"] = {c.name: dict(_metrics(problem, c, rows)) for c in everyone}
    if noise is None:
        said = (
            "training noise was not measured; record it in the candidate's manifest or declare Problem.training_noise"
        )
        return Verdict((Check("training_noise", "failed", said),), {"candidate": candidate.name, **about})
    limits = Limits(problem.latency_ms, problem.size_bytes, training_noise=noise)
    verdict = gate.judge(mine, rival, found.contenders, rows.for_gate(problem), limits)
    return replace(verdict, about={**about, **verdict.about, "champion": about["champion"]})


def _usable(use_case: UseCase, candidate: ContenderVersion) -> Bundle:
    if candidate.bundle is None:
        raise Incomparable(candidate.why)
    if candidate.bundle.manifest.use_case != use_case.name:
        raise Incomparable(f"it is a model of {candidate.bundle.manifest.use_case}, not of {use_case.name}")
    return candidate.bundle


def _too_few(candidate: ContenderVersion, rows: JudgedRows, about: Mapping[str, Any]) -> Verdict:
    said = (
        f"{len(rows)} mature rows between {rows.start.isoformat()} and {rows.end.isoformat()}, "
        f"{int(rows.labels.sum())} of them positive: nothing can be compared; wait for more mature labels"
    )
    return Verdict((Check("enough_rows", "failed", said),), {"candidate": candidate.name, **about})


def _rival(
    use_case: UseCase, champion: ContenderVersion | None, rows: JudgedRows, about: dict[str, Any]
) -> Contender | None:
    """The champion's scores; None, with the reason in `about`, if it cannot be scored."""
    if champion is None:
        return None
    try:
        return contenders.scored(champion.name, _usable(use_case, champion), rows)
    except Incomparable as error:
        about["champion_left_out"] = f"the champion, {champion.name}, cannot be compared: {error}"
        return None


def _noise(use_case: UseCase, problem: Problem, bundle: Bundle, train: Examples, rows: JudgedRows) -> float | None:
    known = training_noise.recorded(problem.training_noise, bundle)
    if known is not None or not 0 < train.labels.sum() < len(train):
        return known
    # As its family trains: all positives, and the declared share of the negatives.
    sample = sampled(train, problem.family(bundle.manifest.family).negative_rate, problem.seed)
    return training_noise.of_bundle(bundle, sample, examples_of(rows.table, bundle.manifest.names, use_case.label))


def _metrics(problem: Problem, contender: Contender, rows: JudgedRows) -> Mapping[str, float | None]:
    amounts = np.nan_to_num(features_of(rows.table, [problem.amount])[:, 0].astype(np.float64))
    entities, days = rows.column(problem.cluster_key), rows.column(PARTITION)
    return metrics.evaluate(rows.labels, contender.scores, entities, days, amounts, problem.review)
