"""Outcomes hold Python's own values, whatever a check computed with."""

import numpy as np

from assets.checks import results
from jobs.checks.check import Check

CHECK = Check("a_check", "It holds.", severity="warning")


def test_what_numpy_judged_is_reported_to_dagster() -> None:
    (result,) = results([CHECK.outcome(np.bool_(False), "two", "three", rows=np.int64(3), share=np.float64(0.5))])  # type: ignore[arg-type]
    assert result.passed is False and result.metadata["rows"].value == 3 and result.metadata["share"].value == 0.5


def test_what_was_not_judged_passes_and_says_why() -> None:
    (result,) = results([CHECK.not_judged("no rows yet")])
    assert result.passed and result.description == "not judged: no rows yet" and "expected" not in result.metadata
