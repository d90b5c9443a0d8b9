"""The gate's verdict about candidate, champion and baselines on the same latest mature rows.

Nothing is recorded or promoted here: see `jobs.promotion.promote`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobs.datasets.training_rows import sampled
from jobs.errors import Invalid
from jobs.evaluation import baselines, challenger_gate, contenders, evaluation_rows, gate, leak_check, seed_noise
from jobs.evaluation.baselines import Baselines
from jobs.evaluation.contenders import Incomparable
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.gate import TakeLook, first_look
from jobs.evaluation.paired_comparison import Contender
from jobs.evaluation.verdict import GateCheck, GateVerdict
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger.challenges import ChallengeRecord
from jobs.models.protocol import Examples
from jobs.models.tables import features_of
from jobs.problem import Problem
from jobs.registry.bundle import Bundle
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True)
class ContenderVersion:
    """A model version that takes part. If its bundle is None, `why` holds the reason."""

    version: int
    bundle: Bundle | None
    why: str = ""

    @property
    def name(self) -> str:
        return f"version {self.version}"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation's rows, the earlier rows that models may learn from, and all contenders, each made once."""

    rows: EvaluationRows
    train: Examples
    candidate: Contender
    champion: Contender | None
    baselines: Baselines

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The candidate first, then the champion, if there is one, then the baselines."""
        champion = (self.champion,) if self.champion else ()
        return (self.candidate, *champion, *self.baselines.contenders)


def evaluate(
    lakehouse: Lakehouse,
    use_case: UseCase,
    candidate: ContenderVersion,
    champion: ContenderVersion | None,
    as_of: datetime,
    challenge: ChallengeRecord | None = None,
    take_look: TakeLook = first_look,
) -> GateVerdict:
    """Judge a candidate on the latest mature rows of the training set, as known at `as_of`.

    An unusable candidate is refused in the verdict, without an error. A champion that cannot be scored is left out;
    `about["champion_left_out"]` then holds the reason, and a person must approve the candidate.

    Args:
        challenge: the ledger's record of the candidate if it was trained after a change; it is then judged by it.
        take_look: as `jobs.evaluation.gate.judge` takes it. A challenge was the look itself.

    Raises:
        ValueError: there is no training set, or it was built later than `as_of`; or data or declarations are wrong.
    """
    problem = problem_of(use_case)
    rows = judged_rows(lakehouse, use_case, [candidate, *([champion] if champion else [])], as_of)
    about = described(rows, champion)
    try:
        bundle = usable(use_case, candidate)
        if not rows.task.varied(rows.labels):
            return _too_few(candidate, rows, about)
        measured = contenders.measured(candidate.name, bundle, rows)
        leak = leak_check.check(problem, rows, bundle.manifest.names, measured.scores, use_case.entities)
        if challenge is not None:
            verdict = challenger_gate.judge_challenger(
                measured, challenge, _identity(champion), replace(problem.limits, training_noise=0.0), about
            )
            return replace(verdict, checks=(*verdict.checks, leak))
        _learned_before(bundle, rows)
    except Incomparable as error:
        message = f"{candidate.name} cannot be used: {error}"
        return GateVerdict((GateCheck("usable", "failed", message),), {"candidate": candidate.name, **about})
    rival = _champion(use_case, champion, rows, about)
    evaluated = _evaluated(lakehouse, use_case, bundle, rows, (measured, rival))
    verdict = _judged(problem, bundle, evaluated, about, take_look)
    return replace(verdict, checks=(*verdict.checks, leak))


def judged_rows(
    lakehouse: Lakehouse, use_case: UseCase, versions: Sequence[ContenderVersion], as_of: datetime
) -> EvaluationRows:
    """The latest mature rows, from the training set as known at `as_of`, that none of the models learned from.

    Raises:
        ValueError: there is no training set, or it was built later than `as_of`.
    """
    version, moment = training_set(lakehouse, use_case, as_of)
    unseen = [each.bundle.manifest.unseen_from for each in versions if each.bundle]
    unseen_from = max(unseen, default=None)
    classes = [name for each in versions if each.bundle for name in each.bundle.manifest.learned.classes]
    return evaluation_rows.read(lakehouse, use_case, problem_of(use_case), version, moment, unseen_from, classes)


def training_set(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> tuple[int, datetime]:
    """Version of the training set, and its moment.

    Raises:
        ValueError: there is no training set, or it was built later than `as_of`.
    """
    table = use_case.training_set
    version, state = lakehouse.version(table), lakehouse.state(table)
    if version is None or "as_of" not in state:
        raise Invalid(f"{table}: expected a training set, found none; build it first")
    moment = datetime.fromisoformat(state["as_of"])
    if moment > as_of:
        raise Invalid(
            f"{table}: expected a training set as of {as_of.isoformat()}, found one that knows more, as of "
            f"{moment.isoformat()}; build it as of that moment first"
        )
    return version, moment


def described(rows: EvaluationRows, champion: ContenderVersion | None) -> dict[str, Any]:
    """What an evaluation says about its rows and the champion."""
    return {
        "champion": champion.name if champion else None,
        "rows": len(rows),
        "positives": rows.evidence(),
        "window": {"start": rows.start.isoformat(), "end": rows.end.isoformat()},
        "rows_version": rows.version,
        "left_out": list(rows.left_out),
    }


def usable(use_case: UseCase, contender: ContenderVersion) -> Bundle:
    """The bundle of a version. Raises Incomparable if there is none, or one of another use case."""
    if contender.bundle is None:
        raise Incomparable(contender.why)
    if contender.bundle.manifest.use_case != use_case.name:
        raise Incomparable(f"it is a model of {contender.bundle.manifest.use_case}, not of {use_case.name}")
    return contender.bundle


def _identity(champion: ContenderVersion | None) -> tuple[int, str] | None:
    if champion is None:
        return None
    return champion.version, champion.bundle.sha256 if champion.bundle else ""


def _learned_before(bundle: Bundle, rows: EvaluationRows) -> None:
    """A challenger learned from the rows that it would be judged on; without its challenge there is no evidence."""
    if "recipe" in bundle.manifest.training and bundle.manifest.learned_until > rows.start:
        raise Incomparable(
            f"it learned from rows until {bundle.manifest.learned_until.isoformat()}, which it would be judged on, and "
            "the ledger holds no challenge of it; train again"
        )


def _too_few(candidate: ContenderVersion, rows: EvaluationRows, about: Mapping[str, Any]) -> GateVerdict:
    message = (
        f"{len(rows)} mature rows between {rows.start.isoformat()} and {rows.end.isoformat()}, "
        f"{rows.evidence()} {rows.task.of_them}: nothing can be compared; wait for more mature labels"
    )
    return GateVerdict((GateCheck("enough_rows", "failed", message),), {"candidate": candidate.name, **about})


def _champion(
    use_case: UseCase, champion: ContenderVersion | None, rows: EvaluationRows, about: dict[str, Any]
) -> Contender | None:
    """The champion's scores; None, with the reason in `about`, if it cannot be scored."""
    if champion is None:
        return None
    try:
        return contenders.scored(champion.name, usable(use_case, champion), rows)
    except Incomparable as error:
        about["champion_left_out"] = f"the champion, {champion.name}, cannot be compared: {error}"
        return None


def _evaluated(
    lakehouse: Lakehouse,
    use_case: UseCase,
    bundle: Bundle,
    rows: EvaluationRows,
    models: tuple[Contender, Contender | None],
) -> Evaluated:
    problem, names = problem_of(use_case), bundle.manifest.names
    end = rows.start - use_case.label_maturity
    train = baselines.training_rows(lakehouse, use_case, rows.version, names, end)
    read = baselines.columns(problem, names, rows.table.column_names)
    judged = Examples(features_of(rows.table, read), rows.labels, None, tuple(read), rows.task)
    return Evaluated(rows, train, *models, baselines.baselines(problem, train, judged, bundle.manifest.family))


def _judged(
    problem: Problem, bundle: Bundle, evaluated: Evaluated, about: dict[str, Any], take_look: TakeLook
) -> GateVerdict:
    about["left_out"] += evaluated.baselines.left_out
    about["metrics"] = {c.name: dict(metrics_of(problem, c, evaluated.rows)) for c in evaluated.contenders}
    noise = _noise(problem, bundle, evaluated)
    if noise is None:
        message = (
            "training noise was not measured; record it in the candidate's manifest or declare `Limits.training_noise`"
        )
        return GateVerdict(
            (GateCheck("training_noise", "failed", message),), {"candidate": evaluated.candidate.name, **about}
        )
    verdict = gate.judge(
        evaluated.candidate,
        evaluated.champion,
        evaluated.baselines.contenders,
        evaluated.rows.for_gate(problem),
        replace(problem.limits, training_noise=noise),
        take_look,
    )
    return replace(verdict, about={**about, **verdict.about, "champion": about["champion"]})


def _noise(problem: Problem, bundle: Bundle, evaluated: Evaluated) -> float | None:
    """The standard deviation between seeds, as declared, recorded or measured now; None if it cannot be measured."""
    declared, train = seed_noise.recorded(problem.limits.training_noise, bundle), evaluated.train
    if declared is not None or not train.task.varied(train.labels):
        return declared
    # As its family trains: all positives, and the declared share of the negatives.
    sample = sampled(train, problem.family(bundle.manifest.family).negative_rate, problem.seed)
    rows, names = evaluated.rows, bundle.manifest.names
    judged = Examples(features_of(rows.table, names), rows.labels, None, names, rows.task)
    return seed_noise.of_bundle(bundle, sample, judged, replace(rows.values(problem), entities=None, amounts=None))


def metrics_of(problem: Problem, contender: Contender, rows: EvaluationRows) -> Mapping[str, float | None]:
    """Every metric of the task on the judged rows."""
    return rows.task.metrics(rows.labels, contender.scores, rows.values(problem), problem.review)
