"""Whether online decisions were made of the features that the lakehouse would have had."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.checks.check import Check, Outcome
from jobs.decisions import table_comparison
from jobs.decisions.table_comparison import AgainstTables
from jobs.drift import skew
from jobs.drift.skew import FeatureSkew, LogColumns
from jobs.drift.skew_check import reaches
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

FEW_ROWS = 0.05
"""Share of decisions in which a feature may differ: reports and late events reach the lakehouse at other times."""
NAMED = 3
ONLINE_SKEW = Check(
    "no_online_skew",
    f"No feature of online decisions is another one in more than {FEW_ROWS:.0%} of them than by the lakehouse's times.",
    severity="warning",
)


@dataclass(frozen=True, eq=False)
class OnlineSkew:
    """Decisions against tables, and the features that differ beyond rounding, with a diagnosis where one fits."""

    against: AgainstTables
    features: tuple[FeatureSkew, ...]

    def share(self, rows: int) -> float:
        """Of the decisions compared."""
        return rows / max(self.against.decisions, 1)

    @property
    def skewed(self) -> list[FeatureSkew]:
        """Features that differ in more than few decisions."""
        return [each for each in self.features if self.share(each.rows) > FEW_ROWS]


def measure(lakehouse: Lakehouse, use_case: UseCase) -> OnlineSkew | None:
    """Compare the decisions in the log of the service with the tables; None: none was ever served.

    Raises StoreDown (an OSError) if the store of the log does not answer.
    """
    against = table_comparison.compare(lakehouse, use_case)
    if against is None or not against.decisions:
        return None if against is None else OnlineSkew(against, ())
    keys = LogColumns(use_case.event_id, use_case.event_timestamp, use_case.entities)
    names = [name for name in against.features if name in against.differing]
    found = skew.compare(against.served, against.offline, keys, names, reaches(use_case))
    return OnlineSkew(against, found.features)


def no_skew(found: OnlineSkew) -> Outcome:
    """ONLINE_SKEW of a comparison."""
    against = found.against
    if not against.decisions:
        return ONLINE_SKEW.not_judged("no table has the events of online decisions yet")
    named = "; ".join(in_words(each, found) for each in found.skewed[:NAMED])
    return ONLINE_SKEW.outcome(
        not found.skewed,
        f"each feature the same in {1 - FEW_ROWS:.0%} of {against.decisions:,} decisions",
        named or f"{against.different:,} of {against.cells:,} cells that are others",
        decisions=against.decisions, cells=against.cells, different=against.different, features=len(found.skewed),
    )  # fmt: skip


def in_words(each: FeatureSkew, found: OnlineSkew) -> str:
    """A feature that differs, in how many decisions, and why as far as can be told."""
    why = f"{each.diagnosis}, {each.detail}" if each.diagnosis else "unexplained"
    return f"{each.feature} others in {found.share(each.rows):.1%} of them ({why})"
