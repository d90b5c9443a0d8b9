"""Whether the log of a home holds what clients sent, each event once, and what the batch kernel makes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobs.checks import online_decisions
from jobs.decisions import opened
from jobs.decisions.log_contents import DECISION, EVENT
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD


def judged(settings: Settings, sent: int) -> dict[str, Any]:
    """What `evergreen serve --check` compares, and the rows of the log; all of it is to be 0 but the first three."""
    with opened.log_of(settings, FRAUD) as log:
        ids = Counter(record.id for record in log.records())
    kinds = Counter(id.partition("/")[0] for id in ids)
    found = online_decisions.compared(attach(settings), FRAUD)
    assert found is not None
    return {
        "sent": sent, "decisions": found.decisions, "cells": found.cells, "different": found.different,
        "undecided": found.undecided, "stale": found.stale, "doubled": sum(count > 1 for count in ids.values()),
        "lost": 2 * sent - kinds[EVENT] - kinds[DECISION],
    }  # fmt: skip


def require(judged: dict[str, Any]) -> None:
    """Raise AssertionError if a row was lost or doubled, or a cell differs."""
    wrong = {name: count for name, count in judged.items() if count and name not in ("sent", "decisions", "cells")}
    assert not wrong and judged["decisions"] == judged["sent"], judged
