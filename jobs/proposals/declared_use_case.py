"""The `UseCase` of a proposal: what its file declares, checked as every declaration is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.limits import Limits
from jobs.problem import Family, Problem, Range, Review
from jobs.proposals.proposal import Proposal
from jobs.proposals.proposed_windows import DAY
from jobs.use_case import UseCase

LARGE, RARE = 300_000, 0.05
"""Rows from which on, and share of positives up to which, a tenth of the negatives is enough to learn from."""

LIMITS = Limits(latency_ms=200.0, size_bytes=200e6)
"""Wide ones: how fast an answer must be is known to whoever asks."""
FIXED = {"num_leaves": 15, "min_data_in_leaf": 40, "feature_fraction": 0.6}
SEARCH = {
    "learning_rate": Range(0.03, 0.3, log=True),
    "num_leaves": Range(7, 127, log=True, integer=True),
    "min_data_in_leaf": Range(10, 300, log=True, integer=True),
    "feature_fraction": Range(0.4, 1.0, step=0.2),
}
"""Parameters of boosted trees before they are tuned, and what tuning tries."""


def use_case_of(proposal: Proposal) -> UseCase:
    """The use case as declared. Its default input is that of the file that is written."""
    of, plan, declared = proposal.roles, proposal.plan, proposal.declared
    first, last = plan.days
    return UseCase(
        name=proposal.name,
        description=_description(proposal),
        owners=(f"team:{proposal.name}",),
        sources=(proposal.events, proposal.labels),
        first_day=first,
        last_day=last,
        events=f"{proposal.name}.{proposal.events.name}",
        labels=f"{proposal.name}.{proposal.labels.name}",
        event_id=declared.key,
        event_timestamp=declared.names[of.time.name],
        entities=tuple(declared.names[c.name] for c in of.entities),
        label=declared.label,
        label_maturity=plan.delay,
        windows=proposal.windows,
        feature_service=proposal.name,
        training_window=plan.training,
        problem=_problem(proposal),
        columns_file=proposal.columns_file,
        default_input=_nothing,
    )


def _nothing(folder: Path, progress: Any) -> dict[str, Path]:
    return {}


def _description(proposal: Proposal) -> str:
    if proposal.roles.label is None:
        return f"Events of {proposal.table.path.name}, without a label so far."
    what = {"binary": "The chance of", "multiclass": "The class by", "regression": "The number"}
    return f"{what[proposal.roles.label.task]} {proposal.declared.label}, for events of {proposal.table.path.name}."


def _problem(proposal: Proposal) -> Problem | None:
    label, plan = proposal.roles.label, proposal.plan
    if label is None:
        return None
    names, amount = proposal.declared.names, proposal.roles.amount
    shared = Problem(
        task=label.task,
        families=_families(proposal),
        inputs=proposal.declared.inputs,
        cluster_key=next((names[c.name] for c in proposal.roles.entities if c.filled == 1), None),
        amount=names[amount.name] if amount is not None and amount.filled == 1 else None,
        validation_window=plan.evaluation,
        evaluation_window=plan.evaluation,
        longest_evaluation_window=max(4 * plan.evaluation, Problem.longest_evaluation_window),
        limits=LIMITS,
    )
    if label.task != "binary":
        return shared
    positives = label.column.present * _rate(proposal) / max(1.0, plan.span / DAY)
    return replace(shared, review=Review(threshold=0.5, capacity=max(1, min(1_000, round(2 * positives))), cost=1.0))


def _rate(proposal: Proposal) -> float:
    """Share of positives."""
    label = proposal.roles.label
    if label is None or label.task != "binary":
        return 1.0
    counts = {str(value): count for value, count in label.column.frequent}
    return counts.get(label.true[0] if label.true else "True", 0) / label.column.present


def _families(proposal: Proposal) -> tuple[Family, ...]:
    label = proposal.roles.label
    boosted = Family("boosted", fixed=FIXED, search=SEARCH)
    if label is not None and label.task == "regression":
        return (Family("linear"), boosted)
    few = 0.1 if proposal.table.rows >= LARGE and _rate(proposal) <= RARE else 1.0
    return (Family("logistic", negative_rate=few), replace(boosted, negative_rate=few))
