"""The fraud use case with other features of customers: one goes, one comes, and one of the same name means another."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from jobs import settings
from jobs.settings import ROOT
from jobs.use_case import UseCase
from jobs.use_cases import fraud
from jobs.use_cases.fraud import FRAUD, HOUR
from jobs.windows import Aggregate

GOES, OTHERWISE = "customer_amount_sum", "customer_small"
COMES = Aggregate("min", "tx_amount", (3 * HOUR,), name="customer_amount_min")


def changed(use_case: UseCase) -> UseCase:
    """The use case with its first window features declared otherwise; once more, its delays differ again."""
    customers, *others = use_case.windows
    aggregates = [_changed(each) for each in customers.aggregates if each.name not in (GOES, COMES.name)]
    return replace(use_case, windows=(replace(customers, aggregates=(*aggregates, COMES)), *others))


def _changed(aggregate: Aggregate) -> Aggregate:
    return replace(aggregate, delay=aggregate.delay + HOUR) if aggregate.name == OTHERWISE else aggregate


CHANGED = changed(FRAUD)
PROGRAM = (
    sys.executable, "-c",
    f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import worlds.changed_declarations as w; w.main()",
)  # fmt: skip
"""`evergreen` by the code as it is when it starts."""


def change(home: Path) -> None:
    """Let the code of a home be the changed one from now on."""
    (home / "changed").touch()


def main() -> None:
    """The command line, by changed declarations if the code of the home has them by now."""
    if (settings.load().home / "changed").exists():
        use()
    from orchestration.cli import main as run  # which imports the declarations

    sys.exit(run())


def use() -> None:
    """Let whoever imports declarations from now on find the changed ones."""
    fraud.FRAUD, fraud.CUSTOMER_WINDOWS = CHANGED, CHANGED.windows[0]
