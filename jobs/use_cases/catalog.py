"""The use cases this installation runs: one name in a tuple each."""

from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

USE_CASES: tuple[UseCase, ...] = (FRAUD, RETURNS)
