"""Whether what people are shown of decisions can be relied on: the review queue, explanations, groups compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.checks.check import Check, Outcome
from jobs.display import markdown
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.use_case import UseCase, capacity_of

if TYPE_CHECKING:
    from jobs.evaluation.explain import Attribution
    from jobs.evaluation.fairness import FairnessReport

SMALLEST_RECALL_RATIO, STANDARD_ERRORS = 0.5, 3.0
"""Share of the recall of all rows that a group may have at least, unless chance explains less."""

QUEUE_OF_SCORED_EVENTS = Check(
    "queue_of_scored_events",
    "Reviewers are asked about events that were scored, each once, no more than they can review, each with its chance.",
)
ADDS_UP = Check("adds_up", "What the features add is the score that is served.")
GROUPS_ALIKE = Check(
    "recall_of_groups",
    "In no group are positives found less than half as often as overall; groups with few positives are left out.",
    severity="warning",
)


def queue_of_scored_events(lakehouse: Lakehouse, use_case: UseCase, day: date, queue: pa.Table) -> Outcome:
    """QUEUE_OF_SCORED_EVENTS of the queue of a day."""
    columns = [use_case.event_id, "score", "origin"]
    log = lakehouse.to_arrow(prediction_log.table(use_case), columns=columns, filters=[(PARTITION, "=", day)])
    log = prediction_log.one_per_event(use_case, log).select([use_case.event_id])
    ids, asked = pl.DataFrame(log), pl.DataFrame(queue)
    capacity = capacity_of(use_case)
    counts = {
        "never_scored": asked.join(ids, on=use_case.event_id, how="anti").height,
        "twice": asked.height - asked[use_case.event_id].n_unique(),
        "beyond_capacity": max(0, asked.height - capacity),
        "without_a_chance": asked.filter(~pl.col("propensity").is_between(0, 1, closed="right")).height,
    }
    wrong = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    expected = f"at most {capacity:,} of the {ids.height:,} events scored on {day}"
    return QUEUE_OF_SCORED_EVENTS.outcome(
        not wrong, expected, f"{asked.height:,}" + (f": {wrong}" if wrong else ""), rows=asked.height, **counts
    )


def adds_up(attribution: Attribution) -> Outcome:
    """ADDS_UP of explained rows."""
    from jobs.evaluation.explain import TOLERANCE

    worst = attribution.largest_difference
    if worst is None:
        added = 1 / (1 + np.exp(-(attribution.base + attribution.values.sum(axis=1))))
        worst = float(np.abs(added - attribution.scores).max())
    return ADDS_UP.outcome(
        worst <= TOLERANCE, f"the score within {TOLERANCE:g}", f"a largest difference of {worst:.2g}",
        rows=len(attribution.scores), largest_difference=worst,
    )  # fmt: skip


def groups_alike(reports: Sequence[FairnessReport]) -> Outcome:
    """GROUPS_ALIKE of all declared groups."""
    from jobs.evaluation.fairness import SMALLEST_COUNT

    judged, behind = 0, []
    for report in reports:
        overall = report.overall.get("recall", float("nan"))
        for name, group in report.groups.items():
            positives, recall = group["positives"], group["recall"]
            if positives < SMALLEST_COUNT or np.isnan(overall):
                continue
            judged += 1
            line = SMALLEST_RECALL_RATIO * overall
            if recall < line - STANDARD_ERRORS * sqrt(line * (1 - line) / positives):
                behind.append(f"{report.name} {markdown(name)}: {recall:.2f} of {overall:.2f}")
    if not judged:
        return GROUPS_ALIKE.not_judged(f"no group has {SMALLEST_COUNT} positives")
    expected = f"a recall of at least {SMALLEST_RECALL_RATIO:.0%} of the overall one in {judged} groups"
    return GROUPS_ALIKE.outcome(not behind, expected, ", ".join(behind) or "no group below", groups=judged)
