"""Checks of dbt models that declare no test: dbt's own tests are checks already, and say more."""

from collections.abc import Mapping

from jobs.checks.check import Check, Outcome

NOT_EMPTY = Check("not_empty", "It has rows if all that it reads has: declare dbt tests to check more.", "warning")


def not_empty(rows: int, inputs: Mapping[str, int]) -> Outcome:
    """NOT_EMPTY.

    Args:
        inputs: table that the model reads -> its rows.
    """
    if empty := [table for table, count in inputs.items() if not count]:
        return NOT_EMPTY.not_judged(f"{', '.join(empty)} has no rows")
    return NOT_EMPTY.outcome(rows > 0, "at least one row", f"{rows:,}", rows=rows)
