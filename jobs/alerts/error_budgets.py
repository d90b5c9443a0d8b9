"""Alerts about a decision server: that it does not answer, and that an error budget burns fast.

It is the fast alert of `deploy/prometheus/alerts.yml`, for those who have no Prometheus: with the same windows and
rates, and objectives that the server tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from jobs.alerts import outbox, server_counts
from jobs.alerts.outbox import Alert
from jobs.alerts.server_counts import Counts
from jobs.secret import Url
from jobs.settings import Settings

SERVER = "server"
"""In place of a use case: a server has several."""
DOWN, BUDGET = "server_down", "error_budget"
"""Kinds of alerts; their subjects are the server and the objective."""
HOUR = 3600.0
WINDOWS = ((HOUR, HOUR / 12, 14.4), (6 * HOUR, HOUR / 2, 6.0))
"""Seconds of the long window, which says that it matters, and of the short one, which says that it goes on; and the
burn rate that is too much in both (SRE Workbook, chapter 5)."""


@dataclass(frozen=True)
class Looked:
    """What a look at a server found."""

    answers: bool
    alerts: list[Alert]
    """What holds."""


def look(settings: Settings, server: Url, now: datetime, answered: bool) -> Looked:
    """Ask a server, send what holds, and resolve what no longer does.

    Of a server that does not answer at two looks, budgets stay as they were told.

    Args:
        answered: whether it did at the look before.
    """
    found = server_counts.asked(server, now.timestamp())
    if found is None and answered:
        return Looked(False, [])
    down = [_down(server, now)] if found is None else []
    outbox.settle(settings, SERVER, DOWN, down, now)
    if found is None:
        return Looked(False, down)
    looks = server_counts.keep(settings, [*server_counts.kept(settings), found])
    burning = list(_burning(looks, now))
    outbox.settle(settings, SERVER, BUDGET, burning, now)
    return Looked(True, burning)


def burn_rate(looks: Sequence[Counts], slo: str, seconds: float) -> float | None:
    """How many times as fast as it may a budget burned in the last seconds; None without events.

    Where a count fell, or more events went wrong than came, both begin anew: the server started again.
    """
    inside = [each for each in looks if each.at >= looks[-1].at - seconds]
    more = [_more(one, other, slo) for one, other in pairwise(inside)]
    events, bad = (sum(counts) for counts in zip(*more, strict=True)) if more else (0.0, 0.0)
    budget = 1 - looks[-1].objective[slo]
    return bad / events / budget if events else None


def _more(before: Counts, after: Counts, slo: str) -> tuple[float, float]:
    """Events between two looks, and bad ones among them."""
    events, bad = after.events.get(slo, 0.0), after.bad.get(slo, 0.0)
    came, went_wrong = events - before.events.get(slo, 0.0), bad - before.bad.get(slo, 0.0)
    return (came, went_wrong) if 0 <= went_wrong <= came else (events, bad)


def _burning(looks: Sequence[Counts], now: datetime) -> Iterator[Alert]:
    for slo in looks[-1].objective:
        for long, short, most in WINDOWS:
            rates = [burn_rate(looks, slo, seconds) or 0.0 for seconds in (long, short)]
            if min(rates) > most:
                yield _budget(slo, long, rates[0], now)
                break


def _budget(slo: str, seconds: float, rate: float, now: datetime) -> Alert:
    message = (
        f"The error budget of {slo} was expected to last, but burned {rate:.1f} times as fast as it may in the last "
        f"{seconds / HOUR:.0f} h: see stages, breakers and fallbacks of the decision server."
    )
    return Alert(SERVER, BUDGET, slo, message, "error", now, {"burn_rate": round(rate, 2), "hours": seconds / HOUR})


def _down(server: Url, now: datetime) -> Alert:
    message = f"The decision server at {server} was expected to answer, but did not at two looks: start it."
    return Alert(SERVER, DOWN, "server", message, "error", now)
