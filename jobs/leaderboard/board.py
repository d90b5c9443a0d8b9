"""The leaderboard of a use case: every model there is on the same latest mature rows.

The board follows from the rows and the models: while neither changes, the stored one is returned; of a further day only
that day is scored. How it is stored is in `jobs.leaderboard.board_table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from jobs.datasets.day_cache import DayCache
from jobs.errors import EvergreenError
from jobs.evaluation import baselines as gate_baselines
from jobs.evaluation import contenders, daily_scores, evaluate, evaluation_rows
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.lakehouse.tables import Lakehouse
from jobs.leaderboard import board_table, entrants, standings
from jobs.leaderboard.baselines import baselines
from jobs.leaderboard.board_table import Board
from jobs.leaderboard.entrants import Entrant
from jobs.leaderboard.standings import Standing
from jobs.ledger import training_costs
from jobs.problem import Problem
from jobs.promotion.promote import Registry
from jobs.registry import provenance
from jobs.tasks.task import Scores
from jobs.use_case import UseCase, problem_of

FORMAT = 2
"""To be raised when the same rows and models give another board."""
PURPOSE = "leaderboard"


@dataclass(frozen=True)
class _Question:
    """What the board is about: the rows, and who takes part."""

    rows: EvaluationRows
    taking_part: Sequence[Entrant]
    moment: datetime
    """Of the training set."""
    digest: str


def lacking(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime | None) -> str | None:
    """Why there is no board as of a moment; None: there is one."""
    state = lakehouse.state(use_case.training_set)
    if "as_of" not in state:
        return "there is no training set yet"
    moment = datetime.fromisoformat(state["as_of"])
    if as_of is not None and moment > as_of:
        return f"the training set is of {moment:%Y-%m-%d %H:%M}, later than this moment"
    return None


def current(lakehouse: Lakehouse, use_case: UseCase, registry: Registry, as_of: datetime | None = None) -> Board | None:
    """The board of the training set as it is; the stored one if nothing changed. None: no model was trained yet.

    Args:
        as_of: the moment of the ledger that says who is champion; None: now.

    Raises:
        ValueError: there is no training set, or it was built later than `as_of`, or its labels cannot be used.
    """
    question = _question(lakehouse, use_case, registry, as_of)
    if question is None:
        return None
    stored = board_table.read(lakehouse, use_case)
    if stored is not None and stored.digest == question.digest:
        return stored
    return _made(lakehouse, use_case, question, stored)


def _question(lakehouse: Lakehouse, use_case: UseCase, registry: Registry, as_of: datetime | None) -> _Question | None:
    settings = lakehouse.settings
    versions = entrants.registered(settings, use_case, registry, as_of)
    if not versions:
        return None
    version, moment = evaluate.training_set(lakehouse, use_case, as_of or datetime.max.replace(tzinfo=UTC))
    trained = entrants.last_trained(versions)
    taking_part = [
        *versions,
        *entrants.families(settings, use_case, versions),
        *baselines(lakehouse, use_case, trained),
    ]
    rows = _rows(lakehouse, use_case, taking_part, (version, moment))
    who = [(each.model, each.role, each.bundle.sha256 if each.bundle else "", each.note) for each in taking_part]
    what = (rows.version, rows.start, rows.end, problem_of(use_case), who)
    return _Question(rows, taking_part, moment, provenance.digest(FORMAT, *map(str, what)))


def _rows(
    lakehouse: Lakehouse, use_case: UseCase, taking_part: Sequence[Entrant], of: tuple[int, datetime]
) -> EvaluationRows:
    """The latest mature rows, as the gate takes them, without those that the champion learned from if enough are left.

    Args:
        of: version of the training set, and its moment.
    """
    problem, champion = replace(problem_of(use_case), slices=()), taking_part[0].bundle
    classes = [name for each in taking_part if each.bundle for name in each.bundle.manifest.learned.classes]
    rows = evaluation_rows.read(lakehouse, use_case, problem, *of, None, classes)
    if champion is not None and not _enough(rows, problem):
        rows = evaluation_rows.read(lakehouse, use_case, problem, *of, champion.manifest.unseen_from, classes)
    if champion is None or not rows.start < champion.manifest.learned_until < rows.end:
        return rows
    later = rows.after(champion.manifest.learned_until, use_case.event_timestamp)
    return later if _enough(later, problem) else rows


def _enough(rows: EvaluationRows, problem: Problem) -> bool:
    """Whether rows are as many, with evidence in as many blocks, as the limits ask for."""
    informative = rows.task.informative(rows.labels)
    blocks = len(np.unique(rows.for_gate(problem).blocks[informative]))
    return problem.limits.enough(len(rows), int(informative.sum()), blocks)


def _made(lakehouse: Lakehouse, use_case: UseCase, question: _Question, last: Board | None) -> Board:
    rows, task = question.rows, question.rows.task
    before = {each.sha256: each for each in last.standings if each.sha256} if last else {}
    shas = [each.bundle.sha256 for each in question.taking_part if each.bundle]
    seconds = training_costs.seconds(lakehouse.settings, shas)
    listed = [(each, standings.of_bundle(each, seconds, before)) for each in question.taking_part]
    notes: list[str] = []
    figures: tuple[Standing, ...] = ()
    if task.varied(rows.labels):
        arrays = daily_scores.stored(lakehouse, use_case, rows.version, PURPOSE)
        measured = [_scored(use_case, rows, arrays, *each) for each in listed]
        arrays.save()
        scored = [(standing, scores) for standing, scores in measured if scores is not None]
        scored += _constants(lakehouse, use_case, question)
        figures = standings.compared(use_case, rows, scored)
        unmeasured = [standing for standing, scores in measured if scores is None]
    else:
        notes.append(f"{len(rows)} mature rows, {rows.evidence()} {task.of_them}: nothing can be compared yet")
        unmeasured = [standing for _, standing in listed]
    about = {
        "as_of": question.moment.isoformat(),
        "objective": task.objective.name,
        "words": task.words,
        "greater_is_better": task.greater_is_better,
        "start": rows.start.isoformat(),
        "end": rows.end.isoformat(),
        "rows": len(rows),
        "evidence": rows.evidence(),
        "rows_version": rows.version,
        "notes": notes,
    }
    return Board((*figures, *unmeasured), about, question.digest)


def _scored(
    use_case: UseCase, rows: EvaluationRows, arrays: DayCache, entrant: Entrant, standing: Standing
) -> tuple[Standing, Scores | None]:
    """The standing with its scores, or with the reason why it has none."""
    bundle = entrant.bundle
    if bundle is None:
        return standing, None
    try:
        standings.comparable(bundle, rows)
        scores = contenders.aligned(bundle, rows, daily_scores.by_day(arrays, use_case, bundle, rows.table))
        checked = rows.task.checked(rows.labels, scores.astype(np.float64), f"scores of {entrant.model}")[1]
        return standings.timed(standing, bundle, rows), checked
    except (EvergreenError, ValueError) as error:
        note = "; ".join(filter(None, [standing.note, f"not measured: {error}"]))
        return replace(standing, note=note), None


def _constants(lakehouse: Lakehouse, use_case: UseCase, question: _Question) -> Iterator[tuple[Standing, Scores]]:
    """What a model is without features, from the labels that were mature before the rows."""
    rows, end = question.rows, question.rows.start - use_case.label_maturity
    train = gate_baselines.training_rows(lakehouse, use_case, rows.version, (), end)
    if not len(train):
        return
    for name, scores in train.task.constant_scores(train.labels, len(rows), train.weights).items():
        standing = Standing(None, name, "baseline", None, None, trained_as_of=question.moment, learned_until=end)
        yield standing, rows.task.aligned(scores, train.task.classes)
