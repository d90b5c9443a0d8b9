"""What became of predictions, for people: label maturity, performance, its estimate, drift and skew.

These assets look and tell. What is done about it is the retraining policy's business, which gathers its own evidence.
"""

import dagster as dg

from assets import drift, ground_truth
from jobs.use_case import UseCase


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The monitoring of a use case; none without a problem to solve."""
    problem = use_case.problem
    return [] if problem is None else [*ground_truth.build(use_case, problem), *drift.build(use_case, problem)]
