"""The gate's check for leaks: a candidate whose rows tell their labels too well does not go into production."""

from __future__ import annotations

from jobs.arrays import Floats
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.verdict import GateCheck
from jobs.models.tables import features_of
from jobs.problem import Problem
from jobs.stats import label_leak


def check(problem: Problem, rows: EvaluationRows, names: tuple[str, ...], scores: Floats) -> GateCheck:
    """The check `leak` of the judged rows with the features `names`, and of a candidate's scores."""
    found = label_leak.suspicion(rows.labels, features_of(rows.table, names), names, scores, problem.telling)
    if found is None:
        few = f"{int(rows.labels.sum())} positives; leaks are looked for from {label_leak.FEWEST_POSITIVES} on"
        return GateCheck("leak", "not judged", few)
    numbers = {f"average_precision of {name}": value for name, value in found.features.items()}
    numbers |= {} if found.whole is None else {"average_precision": found.whole}
    if found.text:
        return GateCheck("leak", "failed", found.text, numbers)
    return GateCheck("leak", "passed", "no feature, and not the whole, tells labels too well to be true", numbers)
