"""The null distribution of the classifier test on a model's stable days, stored between evenings as JSON.

Measuring it takes seconds, and it stays what it was on the model's first evening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.stats.domain_classifier import Null
from jobs.use_case import UseCase


def last(settings: Settings, use_case: UseCase, of: Mapping[str, str]) -> tuple[bool, Null | None]:
    """Whether something is stored for this model and period, and what: None if it had too few whole weeks."""
    content = read_memory(_path(settings, use_case), dict) or {}
    if content.get("of") != of:
        return False, None
    return True, None if content["null"] is None else Null(**content["null"])


def remember(settings: Settings, use_case: UseCase, of: Mapping[str, str], null: Null | None) -> None:
    """Store it in place of the last one."""
    replace_json(_path(settings, use_case), {"of": dict(of), "null": None if null is None else asdict(null)})


def _path(settings: Settings, use_case: UseCase) -> Path:
    return settings.state / use_case.name / "classifier_null.json"
