"""Whether a candidate model may become champion: a pure decision from scores on the same rows, with its evidence.

Who is asked, what is recorded and what promotion changes belong elsewhere. The rule is explained in
docs/models/gate.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from jobs.display import number, size
from jobs.errors import Invalid
from jobs.evaluation.paired_comparison import ComparedRows, Contender, PairedComparison
from jobs.evaluation.verdict import CheckOutcome, GateCheck, GateVerdict
from jobs.limits import Limits
from jobs.stats.alpha_spending import Look, ordinary
from jobs.tasks.task import Task

TakeLook = Callable[[Limits], Look]
"""Called when contenders are about to be compared; returns which look at the champion this is."""


def first_look(limits: Limits) -> Look:
    """The look at a champion that nobody was compared with before."""
    return ordinary(1, 1 - limits.level)


def judge(
    candidate: Contender,
    champion: Contender | None,
    baselines: Sequence[Contender],
    rows: ComparedRows,
    limits: Limits,
    take_look: TakeLook = first_look,
) -> GateVerdict:
    """Decide on a candidate; without a champion yet, baselines and limits decide.

    Args:
        take_look: not called if the rows are too few to compare anybody on.

    Raises:
        ValueError: there is no baseline, lengths differ, labels are not true/false, or a score is NaN or infinite.
    """
    if not baselines:
        raise Invalid("gate: expected at least one baseline, found none; pass a constant score for the prevalence")
    comparison = PairedComparison.of(candidate, champion, baselines, rows)
    counts = comparison.counts
    checks = [_enough(rows.task, counts, limits), *within(candidate, limits)]
    about: dict[str, Any] = {"candidate": candidate.name, "champion": champion.name if champion else None, **counts}
    about |= {"objective": rows.task.objective.name, "limits": asdict(limits)}
    if checks[0].outcome == "passed":
        look = take_look(limits)
        about["look"] = look.evidence
        checks[1:1] = comparison.checks(limits, look.level)
    return GateVerdict(tuple(checks), about)


def _enough(task: Task, counts: Mapping[str, int], limits: Limits) -> GateCheck:
    enough = limits.enough(counts["rows"], counts["positives"], counts["positive_blocks"])
    binary = task.name == "binary"
    of_them = task.of_them if binary else f"with {task.evidence}"
    message = (
        f"{counts['rows']:,} rows, {counts['positives']:,} {of_them} in {counts['positive_blocks']} blocks; "
        f"asked for are {limits.rows:,} rows, {'positives' if binary else 'such rows'} in {limits.positive_blocks} "
        f"blocks, and {'negatives' if binary else 'others'}"
    )
    advice = "" if enough else "; take a longer period or wait for more mature labels"
    return GateCheck("enough_rows", "passed" if enough else "failed", message + advice, counts)


def within(candidate: Contender, limits: Limits) -> list[GateCheck]:
    """Whether latency, size and parity of the export keep their limits."""
    return [
        _within("latency", candidate.latency_ms, limits.latency_ms, "ms"),
        _within("size", candidate.size_bytes, limits.size_bytes, "bytes"),
        _within("export_parity", candidate.parity_error, limits.parity_error, "of score"),
    ]


def _within(name: str, measured: float | None, limit: float, unit: str) -> GateCheck:
    words = name.replace("_", " ")
    if measured is None or not isfinite(measured):
        return GateCheck(
            name, "failed", f"{words} of the candidate was not measured; measure it first", {"limit": limit}
        )
    outcome: CheckOutcome = "passed" if measured <= limit else "failed"
    found, most = (size(each) if unit == "bytes" else number(each) for each in (measured, limit))
    message = f"{words} is {found}{'' if unit == 'bytes' else f' {unit}'}, the limit is {most}"
    return GateCheck(name, outcome, message, {"measured": float(measured), "limit": float(limit)})
