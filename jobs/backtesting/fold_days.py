"""The days of one fold of a backtest: a train week, a delay in which labels arrive, and test days.

Its rows are read in `jobs.backtesting.fold_rows`, and measured in `jobs.backtesting.folds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from jobs.errors import EvergreenError
from jobs.times import midnight


class BacktestError(EvergreenError, ValueError):
    """A fold that cannot be measured: the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class Fold:
    """A train week, a delay in which labels arrive, and test days; dates in UTC."""

    train_from: date
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    def __post_init__(self) -> None:
        if min(self.train_days, self.test_days) < 1 or self.delay_days < 0:
            raise BacktestError(
                "fold: expected at least one train day and one test day and a delay of 0 or more, "
                f"found {self.train_days}, {self.test_days} and {self.delay_days}"
            )

    @property
    def test_from(self) -> date:
        return self.train_from + timedelta(days=self.train_days + self.delay_days)

    @property
    def test_until(self) -> date:
        """The last test day."""
        return self.test_from + timedelta(days=self.test_days - 1)

    @property
    def moment(self) -> datetime:
        """When the test days begin: what was known then may be trained on."""
        return midnight(self.test_from)
