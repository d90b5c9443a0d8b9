"""The gate's check for leaks: a candidate whose rows tell their labels too well does not go into production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.arrays import Floats
from jobs.datasets.training_rows import codes
from jobs.evaluation.evaluation_rows import EvaluationRows
from jobs.evaluation.verdict import GateCheck
from jobs.models.features import number_columns
from jobs.models.label_shares import with_label_shares
from jobs.models.tables import features_of
from jobs.problem import Problem
from jobs.stats import label_leak
from jobs.stats.entity_leak import encoded_labels


def check(
    problem: Problem, rows: EvaluationRows, names: tuple[str, ...], scores: Floats, entities: Sequence[str] = ()
) -> GateCheck:
    """The check `leak` of the judged rows with the features `names`, and of a candidate's scores.

    `entities` are columns whose rows may share a value made of their labels.
    """
    features = features_of(rows.table, names)
    shares = with_label_shares(features, rows.labels, names)
    if rows.task.name != "binary":
        text = rows.task.suspicion(rows.labels, shares, names, problem.telling)
        return GateCheck("leak", "failed" if text else "passed", text or "no feature tells labels too well to be true")
    found = label_leak.suspicion(rows.labels, shares, names, scores, problem.telling)
    if found is None:
        few = f"{int(rows.labels.sum())} positives; leaks are looked for from {label_leak.FEWEST_POSITIVES} on"
        return GateCheck("leak", "not judged", few)
    of_entities = {name: codes(rows.table[name]) for name in entities if name in rows.table.column_names}
    encoded = encoded_labels(rows.labels, *number_columns(features, names), of_entities, problem.telling)
    found = replace(found, encoded=encoded)
    numbers = {f"average_precision of {name}": value for name, value in (*found.features.items(), *found.pairs.items())}
    numbers |= {} if found.whole is None else {"average_precision": found.whole}
    if found.text:
        return GateCheck("leak", "failed", found.text, numbers)
    return GateCheck(
        "leak", "passed", "no feature, no pair and not the whole tells labels too well to be true", numbers
    )
