"""Contenders compared on the same rows by a paired bootstrap of blocks: over all rows and in guard slices.

What else is asked of a candidate, and what follows: see `jobs.evaluation.gate`. The rule is explained in
docs/models/gate.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools, Floats, Ints, codes
from jobs.errors import Invalid
from jobs.evaluation.verdict import GateCheck
from jobs.limits import Limits
from jobs.stats import paired_bootstrap
from jobs.stats.paired_bootstrap import Resampled
from jobs.tasks.binary import BINARY
from jobs.tasks.task import RowValues, Task


@dataclass(frozen=True, eq=False)
class Contender:
    """A model as the gate sees it; what was not measured is None, and a candidate must have measured all of it."""

    name: str
    scores: NDArray[Any]
    """Shape (rows,), numbers: higher is more likely positive; of other tasks as `jobs.tasks.task.Scores`."""
    latency_ms: float | None = None
    """Milliseconds of a single request, at the percentile that the limit is meant for."""
    size_bytes: float | None = None
    parity_error: float | None = None
    """Largest absolute difference of a score between the exported and the original model."""


@dataclass(frozen=True, eq=False)
class ComparedRows:
    """The latest mature rows, that all contenders have scored."""

    labels: NDArray[Any]
    """Shape (rows,), of the task's type; true/false or 1/0 of a binary one."""
    blocks: NDArray[Any]
    """Shape (rows,): rows of one block (a card) share their noise; sortable, no nulls."""
    slices: Mapping[str, Bools] = field(default_factory=dict)
    """Guard slices: masks of shape (rows,), which may overlap."""
    weights: Floats | None = None
    """Shape (rows,): how many events each row stands for, at least 1 each; None: one."""
    days: NDArray[Any] | None = None
    """Shape (rows,): day of each row, where the objective asks for it."""
    task: Task = BINARY

    @property
    def values(self) -> RowValues:
        """What the objective asks of the rows, besides labels and scores."""
        return RowValues(days=self.days, weights=self.weights)

    def gain(self, contender: Contender) -> float:
        """The objective of a contender, on a scale where more is better."""
        return self.task.gain(self.task.value(self.labels, contender.scores, self.values))


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Contenders whose scores of the same rows were checked."""

    candidate: Contender
    champion: Contender | None
    baselines: Sequence[Contender]
    rows: ComparedRows
    blocks: Ints
    """Shape (rows,): blocks as numbers from 0."""

    @classmethod
    def of(
        cls, candidate: Contender, champion: Contender | None, baselines: Sequence[Contender], rows: ComparedRows
    ) -> PairedComparison:
        """Check rows and scores.

        Raises:
            ValueError: lengths differ, labels are not true/false, or a score is NaN or infinite.
        """
        rows, blocks = _checked_rows(rows)
        candidate, *others = [_checked(c, rows) for c in (candidate, *baselines, *((champion,) if champion else ()))]
        return cls(candidate, others[-1] if champion else None, others[: len(baselines)], rows, blocks)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of rows, positives (of another task, rows that are evidence), blocks, and blocks with a positive."""
        evidence = self.rows.task.informative(self.rows.labels)
        return {
            "rows": len(self.rows.labels),
            "positives": int(evidence.sum()),
            "blocks": len(np.unique(self.blocks)),
            "positive_blocks": len(np.unique(self.blocks[evidence])),
        }

    def checks(self, limits: Limits, level: float) -> list[GateCheck]:
        """The candidate against the champion first, if there is one, against the best baseline, and by slice.

        Args:
            level: one-sided confidence that the candidate is better.
        """
        rows, champion = self.rows, self.champion
        baseline = max(self.baselines, key=rows.gain)
        slices = self._judged_slices(limits) if champion else {}
        rivals = [self._rankings(baseline, {})]
        if champion:
            rivals.append(self._rankings(champion, slices))
        mine, *theirs = self._resampled([self._rankings(self.candidate, slices), *rivals], limits)
        measures = (rows.task, limits, level)
        checks = [_better("better_than_baselines", baseline, mine[:, 0], theirs[0][:, 0], measures)]
        if champion:
            checks.insert(0, _better("better_than_champion", champion, mine[:, 0], theirs[1][:, 0], measures))
            checks += _slice_checks(rows, slices, mine[:, 1:], theirs[1][:, 1:], limits)
        return checks

    def _judged_slices(self, limits: Limits) -> dict[str, Bools]:
        evidence = self.rows.task.informative(self.rows.labels)

        def positive_blocks(mask: Bools) -> int:
            return len(np.unique(self.blocks[mask & evidence]))

        return {n: m for n, m in self.rows.slices.items() if positive_blocks(m) >= limits.slice_positive_blocks}

    def _rankings(self, contender: Contender, slices: Mapping[str, Bools]) -> list[Resampled]:
        """One ranking of all rows, which also measures each slice in it, and one of each slice alone."""
        labels, values = self.rows.labels, self.rows.values
        everything = np.ones(len(labels), dtype=bool)

        def ranked(mask: Bools, groups: Sequence[Bools]) -> Resampled:
            scores, blocks = contender.scores[mask], self.blocks[mask]
            return self.rows.task.resampled(labels[mask], scores, blocks, groups, values.of(mask))

        common = ranked(everything, [everything, *slices.values()])
        return [common, *(ranked(mask, [everything[mask]]) for mask in slices.values())]

    def _resampled(self, rankings: Sequence[Sequence[Resampled]], limits: Limits) -> list[Floats]:
        """For each contender an array: the rows as they are first, then each resample; one column per measure."""
        flat, size = [ranking for one in rankings for ranking in one], int(self.blocks.max()) + 1
        drawn = paired_bootstrap.resampled(flat, size, limits.resamples, limits.seed)
        together = np.vstack([paired_bootstrap.observed(flat, size), drawn])
        widths = [sum(ranking.width for ranking in one) for one in rankings]
        return np.split(together, np.cumsum(widths)[:-1], axis=1)


def _checked_rows(rows: ComparedRows) -> tuple[ComparedRows, Ints]:
    """The rows with labels of the task's type, and their blocks as numbers from 0."""
    shape = (len(rows.labels), len(rows.task.classes)) if rows.task.classes else len(rows.labels)
    labels, _ = rows.task.checked(rows.labels, np.zeros(shape))
    for name, mask in rows.slices.items():
        if mask.dtype != np.bool_ or mask.shape != labels.shape:
            raise Invalid(
                f"slice {name}: expected a boolean mask of shape {labels.shape}, found {mask.dtype} of shape "
                f"{mask.shape}; compute it from the same rows"
            )
    return replace(rows, labels=labels), codes("blocks", rows.blocks, len(labels))[1]


def _checked(contender: Contender, rows: ComparedRows) -> Contender:
    _, scores = rows.task.checked(rows.labels, contender.scores, f"scores of {contender.name}")
    return replace(contender, scores=scores)


def _better(
    name: str, rival: Contender, mine: Floats, theirs: Floats, measures: tuple[Task, Limits, float]
) -> GateCheck:
    """Args: measures: what is measured, the limits, and the one-sided confidence that is asked."""
    task, limits, level = measures
    if limits.training_noise is None:
        raise Invalid("limits: expected the training noise, found none; measure it, or pass 0 if there is none")
    difference = mine - theirs if task.greater_is_better else theirs - mine
    noise = limits.training_noise * np.sqrt(2)
    lower, upper = paired_bootstrap.normal_interval(difference, level, noise)
    better, form = lower > 0, format_of(task)
    message = (
        f"{task.words} {mine[0]:{form}} is {'better' if better else 'not better'} beyond noise than the "
        f"{theirs[0]:{form}} of {rival.name}: {difference_of(task)} {difference[0]:+{form}}, between {lower:+{form}} "
        f"and {upper:+{form}}"
    )
    numbers = {"candidate": float(mine[0]), "rival": float(theirs[0]), "difference": float(difference[0])}
    numbers |= {"lower": lower, "upper": upper, "p_value": paired_bootstrap.p_value(difference, noise)}
    return GateCheck(name, "passed" if better else "failed", message, numbers)


def _slice_checks(
    rows: ComparedRows, slices: Mapping[str, Bools], mine: Floats, theirs: Floats, limits: Limits
) -> list[GateCheck]:
    difference = mine - theirs if rows.task.greater_is_better else theirs - mine
    upper = paired_bootstrap.simultaneous_upper(difference, limits.slice_alarm)
    place = {name: n for n, name in enumerate(slices)}
    checks = []
    for name in rows.slices:
        if name not in slices:
            message = f"slice {name}: positives in fewer than {limits.slice_positive_blocks} blocks, too few to judge"
            checks.append(GateCheck(f"slice:{name}", "not judged", message))
            continue
        columns = {"common_ranking": place[name], "alone": len(slices) + place[name]}
        checks.append(_slice_check(name, rows.task, columns, (mine[0], theirs[0], difference[0], upper)))
    return checks


def _slice_check(name: str, task: Task, columns: Mapping[str, int], measured: tuple[Floats, ...]) -> GateCheck:
    """Args: measured: of candidate and champion, the gain, and its upper bound; each by column."""
    mine, theirs, difference, upper = measured
    worse, form = [measure for measure, n in columns.items() if upper[n] < 0], format_of(task)
    kinds = {"candidate": mine, "champion": theirs, "difference": difference, "upper": upper}
    numbers = {f"{measure}_{kind}": float(v[n]) for measure, n in columns.items() for kind, v in kinds.items()}
    n = columns[(worse or list(columns))[0]]
    message = (
        f"slice {name} is {'worse' if worse else 'not worse'} beyond noise: {task.words} "
        f"{mine[n]:{form}} against {theirs[n]:{form}}, {difference_of(task)} {difference[n]:+{form}}, at most "
        f"{upper[n]:+{form}}"
    )
    return GateCheck(f"slice:{name}", "failed" if worse else "passed", message, numbers)


def difference_of(task: Task) -> str:
    """What a difference is called: of losses, where less is better, it is what is gained."""
    return "difference" if task.greater_is_better else "gain"


def format_of(task: Task) -> str:
    """How values of the objective are written: numbers between 0 and 1 with four digits, others with as many in all."""
    return ".4f" if task.greater_is_better else ".4g"
