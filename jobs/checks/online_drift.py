"""Whether the last hours of online decisions are as those of other days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.checks.check import Check, Outcome

if TYPE_CHECKING:
    from jobs.drift.online_log import OnlineDrift

HOURS_AS_USUAL = Check(
    "online_hours_as_usual",
    "Features and scores of the last hours of the decision service are as at the same time of the days before.",
    severity="warning",
)


def as_usual(found: OnlineDrift) -> Outcome:
    """HOURS_AS_USUAL of the last hours."""
    last = found.last
    if last.note and not found.named:
        return HOURS_AS_USUAL.not_judged(f"{last.hour:%Y-%m-%d %H:%M}: {last.note}")
    named = ", ".join(found.named)
    return HOURS_AS_USUAL.outcome(
        not found.named,
        f"features and scores as at {last.hour:%H} o'clock of the days before",
        f"other {named}" if named else "just that",
        decisions=last.rows, features=len(last.features), over_the_line=len(found.named),
    )  # fmt: skip
