"""Whether a candidate model may become champion: a pure decision from scores on the same rows, with its evidence.

Who is asked, what is recorded and what promotion changes belong elsewhere. The rule is explained in
docs/models/gate.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.arrays import Bools, Floats, Ints, codes
from jobs.stats import metrics, paired_bootstrap
from jobs.stats.paired_bootstrap import Ranking

RESAMPLES_BEYOND = 5
"""Fewer resamples beyond a quantile say little about where it is."""

Outcome = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True, eq=False)
class Contender:
    """A model as the gate sees it; what was not measured is None, and a candidate must have measured all of it."""

    name: str
    scores: NDArray[Any]
    """Shape (rows,), numbers: higher is more likely positive."""
    latency_ms: float | None = None
    """Milliseconds of a single request, at the percentile that the limit is meant for."""
    size_bytes: float | None = None
    parity_error: float | None = None
    """Largest absolute difference of a score between the exported and the original model."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The latest mature rows, that all contenders have scored."""

    labels: NDArray[Any]
    """Shape (rows,), true/false or 1/0."""
    blocks: NDArray[Any]
    """Shape (rows,): rows of one block (a card) share their noise; sortable, no nulls."""
    slices: Mapping[str, Bools] = field(default_factory=dict)
    """Guard slices: masks of shape (rows,), which may overlap."""
    weights: Floats | None = None
    """Shape (rows,): how many events each row stands for, at least 1 each; None: one."""


@dataclass(frozen=True)
class Limits:
    """What is asked of a candidate."""

    latency_ms: float
    size_bytes: float
    training_noise: float
    """Standard deviation of the objective between trainings that differ in nothing but the seed, see `training_noise`;
    0 where training is deterministic. No default: resampled rows know nothing of it."""
    parity_error: float = 1e-4
    level: float = 0.98
    """Confidence, one-sided, that the candidate is better. Of equal candidates 2 % pass and 5 % may: with some dozens
    of blocks a bootstrap is a little too sure of itself."""
    slice_alarm: float = 0.1
    """Largest chance that a candidate which is equal in every slice is refused for any. One that is better hardly ever
    is, so that a wide alarm costs little and finds more."""
    resamples: int = 1000
    rows: int = 1000
    positive_blocks: int = 30
    """Least number of blocks with a positive, that a bootstrap of blocks can be trusted."""
    slice_positive_blocks: int = 5
    """A slice with fewer is not judged on its own, and the verdict says so."""
    seed: int = 0

    def __post_init__(self) -> None:
        rarer = min(1 - self.level, self.slice_alarm)
        if not (0.5 <= self.level < 1 and 0 < self.slice_alarm < 1 and self.resamples * rarer >= RESAMPLES_BEYOND):
            raise ValueError(
                f"limits: expected level in [0.5, 1), slice_alarm in (0, 1) and {RESAMPLES_BEYOND} resamples "
                f"beyond each, found "
                f"{self.level}, {self.slice_alarm} and {self.resamples} resamples; correct them"
            )
        amounts = {name: getattr(self, name) for name in ("latency_ms", "size_bytes", "training_noise", "parity_error")}
        if wrong := {name: value for name, value in amounts.items() if not (isfinite(value) and value >= 0)}:
            raise ValueError(f"limits: expected finite numbers >= 0, found {wrong}; set what you can accept")


@dataclass(frozen=True)
class Check:
    """One condition of promotion, with its numbers."""

    name: str
    outcome: Outcome
    said: str
    """The outcome in plain words."""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Promoted if no check failed."""

    checks: tuple[Check, ...]
    about: Mapping[str, Any]
    """Contenders, numbers of rows and limits."""

    @property
    def promoted(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the candidate is refused, in plain words."""
        return tuple(check.said for check in self.checks if check.outcome == "failed")

    @property
    def evidence(self) -> dict[str, Any]:
        """Everything above, ready for `json.dumps`."""
        checks = {c.name: {"outcome": c.outcome, "said": c.said, **c.numbers} for c in self.checks}
        return {"promoted": self.promoted, "reasons": list(self.reasons), **self.about, "checks": checks}


def judge(
    candidate: Contender, champion: Contender | None, baselines: Sequence[Contender], rows: Rows, limits: Limits
) -> Verdict:
    """Decide on a candidate; without a champion yet, baselines and limits decide.

    Raises:
        ValueError: there is no baseline, lengths differ, labels are not true/false, or a score is NaN or infinite.
    """
    if not baselines:
        raise ValueError("gate: expected at least one baseline, found none; pass a constant score for the prevalence")
    rows, blocks = _checked_rows(rows)
    candidate, *others = [_checked(c, rows) for c in (candidate, *baselines, *((champion,) if champion else ()))]
    baselines, champion = others[: len(baselines)], others[-1] if champion else None
    counts = _counts(rows, blocks)
    checks = [_enough(counts, limits), *within(candidate, limits)]
    if checks[0].outcome == "passed":
        checks[1:1] = _comparisons(candidate, champion, baselines, rows, blocks, limits)
    names = {"candidate": candidate.name, "champion": champion.name if champion else None}
    return Verdict(tuple(checks), {**names, **counts, "objective": "average_precision", "limits": asdict(limits)})


def compare(
    candidate: Contender, champion: Contender | None, baselines: Sequence[Contender], rows: Rows, limits: Limits
) -> tuple[Check, ...]:
    """The comparisons of `judge` alone: with the champion first, if there is one, with the best baseline, by slice.

    Raises:
        ValueError: as `judge`.
    """
    rows, blocks = _checked_rows(rows)
    candidate, *others = [_checked(c, rows) for c in (candidate, *baselines, *((champion,) if champion else ()))]
    rivals, champion = others[: len(baselines)], others[-1] if champion else None
    return tuple(_comparisons(candidate, champion, rivals, rows, blocks, limits))


def training_noise(labels: ArrayLike, scores: Sequence[ArrayLike]) -> float:
    """Sample standard deviation of average precision between trainings that differ in the seed alone.

    Args:
        labels: shape (rows,).
        scores: of each training, shape (rows,); at least two, five or more to be of use.

    Raises:
        ValueError: fewer than two trainings, or labels and scores that average precision refuses.
    """
    if len(scores) < 2:
        raise ValueError(f"training noise: expected scores of two trainings or more, found {len(scores)}; train again")
    return float(np.std([metrics.average_precision(labels, values) for values in scores], ddof=1))


def _checked_rows(rows: Rows) -> tuple[Rows, Ints]:
    """The rows with boolean labels, and their blocks as numbers from 0."""
    labels, _ = metrics.checked(rows.labels, np.zeros(len(rows.labels)))
    for name, mask in rows.slices.items():
        if mask.dtype != np.bool_ or mask.shape != labels.shape:
            raise ValueError(
                f"slice {name}: expected a boolean mask of shape {labels.shape}, found {mask.dtype} of shape "
                f"{mask.shape}; compute it from the same rows"
            )
    return replace(rows, labels=labels), codes("blocks", rows.blocks, len(labels))[1]


def _checked(contender: Contender, rows: Rows) -> Contender:
    _, scores = metrics.checked(rows.labels, contender.scores, f"scores of {contender.name}")
    return replace(contender, scores=scores)


def _counts(rows: Rows, blocks: Ints) -> dict[str, int]:
    return {
        "rows": len(rows.labels),
        "positives": int(rows.labels.sum()),
        "blocks": len(np.unique(blocks)),
        "positive_blocks": len(np.unique(blocks[rows.labels])),
    }


def _enough(counts: Mapping[str, int], limits: Limits) -> Check:
    mixed = 0 < counts["positives"] < counts["rows"]
    enough = mixed and counts["rows"] >= limits.rows and counts["positive_blocks"] >= limits.positive_blocks
    said = (
        f"{counts['rows']} rows, {counts['positives']} of them positive in {counts['positive_blocks']} blocks; asked "
        f"for are {limits.rows} rows, positives in {limits.positive_blocks} blocks, and negatives"
    )
    advice = "" if enough else "; take a longer period or wait for more mature labels"
    return Check("enough_rows", "passed" if enough else "failed", said + advice, counts)


def within(candidate: Contender, limits: Limits) -> list[Check]:
    """Whether latency, size and parity of the export keep their limits."""
    return [
        _within("latency", candidate.latency_ms, limits.latency_ms, "ms"),
        _within("size", candidate.size_bytes, limits.size_bytes, "bytes"),
        _within("export_parity", candidate.parity_error, limits.parity_error, "of score"),
    ]


def _within(name: str, measured: float | None, limit: float, unit: str) -> Check:
    words = name.replace("_", " ")
    if measured is None or not isfinite(measured):
        return Check(name, "failed", f"{words} of the candidate was not measured; measure it first", {"limit": limit})
    outcome: Outcome = "passed" if measured <= limit else "failed"
    said = f"{words} is {measured:g} {unit}, the limit is {limit:g}"
    return Check(name, outcome, said, {"measured": float(measured), "limit": float(limit)})


def _comparisons(
    candidate: Contender,
    champion: Contender | None,
    baselines: Sequence[Contender],
    rows: Rows,
    blocks: Ints,
    limits: Limits,
) -> list[Check]:
    baseline = max(baselines, key=lambda b: metrics.average_precision(rows.labels, b.scores))
    slices = _judged_slices(rows, blocks, limits) if champion else {}
    rivals = [_rankings(baseline, rows, blocks, {})]
    if champion:
        rivals.append(_rankings(champion, rows, blocks, slices))
    mine, *theirs = _scored([_rankings(candidate, rows, blocks, slices), *rivals], blocks, limits)
    checks = [_better("better_than_baselines", baseline, mine[:, 0], theirs[0][:, 0], limits)]
    if champion:
        checks.insert(0, _better("better_than_champion", champion, mine[:, 0], theirs[1][:, 0], limits))
        checks += _slice_checks(rows, slices, mine[:, 1:], theirs[1][:, 1:], limits)
    return checks


def _judged_slices(rows: Rows, blocks: Ints, limits: Limits) -> dict[str, Bools]:
    def positive_blocks(mask: Bools) -> int:
        return len(np.unique(blocks[mask & rows.labels]))

    return {name: m for name, m in rows.slices.items() if positive_blocks(m) >= limits.slice_positive_blocks}


def _rankings(contender: Contender, rows: Rows, blocks: Ints, slices: Mapping[str, Bools]) -> list[Ranking]:
    """One ranking of all rows, which also measures each slice in it, and one of each slice alone."""
    everything, weights = np.ones(len(rows.labels), dtype=bool), rows.weights

    def ranked(mask: Bools, groups: Sequence[Bools]) -> Ranking:
        stands_for = None if weights is None else weights[mask]
        return paired_bootstrap.rank(rows.labels[mask], contender.scores[mask], blocks[mask], groups, stands_for)

    common = ranked(everything, [everything, *slices.values()])
    return [common, *(ranked(mask, [everything[mask]]) for mask in slices.values())]


def _scored(rankings: Sequence[Sequence[Ranking]], blocks: Ints, limits: Limits) -> list[Floats]:
    """For each contender an array: the rows as they are first, then each resample; one column per measure."""
    flat, size = [ranking for one in rankings for ranking in one], int(blocks.max()) + 1
    drawn = paired_bootstrap.resampled(flat, size, limits.resamples, limits.seed)
    together = np.vstack([paired_bootstrap.observed(flat, size), drawn])
    widths = [sum(ranking.groups.shape[1] for ranking in one) for one in rankings]
    return np.split(together, np.cumsum(widths)[:-1], axis=1)


def _better(name: str, rival: Contender, mine: Floats, theirs: Floats, limits: Limits) -> Check:
    difference = mine - theirs
    lower, upper = paired_bootstrap.interval(difference, limits.level, limits.training_noise * np.sqrt(2))
    better = lower > 0
    said = (
        f"average precision {mine[0]:.4f} is {'better' if better else 'not better'} beyond noise than the "
        f"{theirs[0]:.4f} of {rival.name}: difference {difference[0]:+.4f}, between {lower:+.4f} and {upper:+.4f}"
    )
    numbers = {"candidate": float(mine[0]), "rival": float(theirs[0]), "difference": float(difference[0])}
    return Check(name, "passed" if better else "failed", said, {**numbers, "lower": lower, "upper": upper})


def _slice_checks(rows: Rows, slices: Mapping[str, Bools], mine: Floats, theirs: Floats, limits: Limits) -> list[Check]:
    difference = mine - theirs
    upper = paired_bootstrap.simultaneous_upper(difference, limits.slice_alarm)
    place = {name: n for n, name in enumerate(slices)}
    checks = []
    for name in rows.slices:
        if name not in slices:
            said = f"slice {name}: positives in fewer than {limits.slice_positive_blocks} blocks, too few to judge"
            checks.append(Check(f"slice:{name}", "not judged", said))
            continue
        columns = {"common_ranking": place[name], "alone": len(slices) + place[name]}
        checks.append(_slice_check(name, columns, mine[0], theirs[0], upper))
    return checks


def _slice_check(name: str, columns: Mapping[str, int], mine: Floats, theirs: Floats, upper: Floats) -> Check:
    worse = [measure for measure, n in columns.items() if upper[n] < 0]
    kinds = {"candidate": mine, "champion": theirs, "difference": mine - theirs, "upper": upper}
    numbers = {f"{measure}_{kind}": float(v[n]) for measure, n in columns.items() for kind, v in kinds.items()}
    n = columns[(worse or list(columns))[0]]
    said = (
        f"slice {name} is {'worse' if worse else 'not worse'} beyond noise: average precision "
        f"{mine[n]:.4f} against {theirs[n]:.4f}, difference {mine[n] - theirs[n]:+.4f}, at most {upper[n]:+.4f}"
    )
    return Check(f"slice:{name}", "failed" if worse else "passed", said, numbers)
