"""Whether a search for features could do its work."""

from __future__ import annotations

from jobs.checks.check import Check, Outcome
from jobs.feature_search.search import Found
from jobs.feature_search.selection import OUT_OF_TIME

SEARCH_ENDED = Check(
    "search_ended", "The search ended because nothing was left that helps, not because its time was over.",
    severity="warning",
)  # fmt: skip


def search_ended(found: Found) -> Outcome:
    """SEARCH_ENDED."""
    ended = found.selection.ended
    return SEARCH_ENDED.outcome(ended != OUT_OF_TIME, "a search within its time", f"that {ended}")
