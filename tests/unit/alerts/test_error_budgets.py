"""Alerts about a decision server, by its own counts: burn rates of two windows each, and a server that is silent."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.deciding_server import deciding

from jobs.alerts import error_budgets, outbox, server_counts
from jobs.alerts.server_counts import Counts
from jobs.loopback import free_port
from jobs.secret import Url
from jobs.settings import ROOT, Settings
from serving.live_models.live_model import LiveModel
from serving.telemetry.slos import SLOS

NOW, MINUTE = datetime(2026, 11, 30, tzinfo=UTC), timedelta(minutes=1)
SLO, OBJECTIVE = "availability", 0.99


def looks(shares: list[float], restarts: frozenset[int] = frozenset()) -> list[Counts]:
    """Looks a minute apart, with 1,000 events of each minute and so many bad ones; a restart begins to count anew."""
    found, events, bad = [Counts(0.0, {SLO: 0.0}, {SLO: 0.0}, {SLO: OBJECTIVE})], 0.0, 0.0
    for minute, share in enumerate(shares, 1):
        events, bad = (0.0, 0.0) if minute in restarts else (events, bad)
        events, bad = events + 1000, bad + round(1000 * share)
        found.append(Counts(minute * 60.0, {SLO: events}, {SLO: bad}, {SLO: OBJECTIVE}))
    return found


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=90), st.frozensets(st.integers(1, 90)))
def test_a_burn_rate_is_the_share_of_bad_events_over_the_budget_whatever_restarts(
    bad: list[int], restarts: frozenset[int]
) -> None:
    found = looks([each / 1000 for each in bad], restarts)
    for minutes in (5, 60):
        expected = sum(bad[-minutes:]) / (1000 * len(bad[-minutes:])) / (1 - OBJECTIVE)
        # A restart in whose first minute more comes than was counted before looks like none.
        rate = error_budgets.burn_rate(found, SLO, minutes * 60)
        if not restarts & set(range(1, len(bad) + 1)):
            assert rate == pytest.approx(expected)
        else:
            assert rate is None or 0 <= rate <= 1 / (1 - OBJECTIVE) + 1e-9


def test_no_events_burn_nothing() -> None:
    assert error_budgets.burn_rate(looks([])[:1] * 2, SLO, 300) is None


def test_windows_and_rates_are_those_of_prometheus() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    [fast] = re.findall(r"alert: EvergreenBudgetBurnsFast\n.*?labels", rules, re.DOTALL)
    seconds = {"m": 60, "h": 3600}
    found = re.findall(r"rate(\d+)([mh]) > ([\d.]+) and evergreen:slo_burn:rate(\d+)([mh]) > ([\d.]+)", fast)
    windows = [(int(a) * seconds[u], int(b) * seconds[v], float(most)) for a, u, most, b, v, _ in found]
    assert tuple(windows) == error_budgets.WINDOWS and all(each[2] == each[5] for each in found)


def test_a_burning_budget_of_a_real_server_is_told_once_and_resolved_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Settings(home=tmp_path / "home")

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    def decide(first: int, count: int) -> None:
        event = {"customer_id": 2, "terminal_id": 100, "tx_amount": 7}
        events = [event | {"transaction_id": id} for id in range(first, first + count)]
        httpx.post(f"{address}/v1/fraud/decisions", json=events, timeout=30).raise_for_status()

    def looked(minutes: int) -> list[str]:
        error_budgets.look(home, Url(address), NOW + minutes * MINUTE, answered=True)
        return [f"{each.alert.kind} {each.alert.subject}" for each in outbox.recorded(home)]

    with deciding(home) as address:
        decide(0, 1)
        assert looked(0) == []
        with monkeypatch.context() as broken:
            broken.setattr(LiveModel, "run_each", fail)
            decide(100, 50)
        assert "error_budget usual_way" in looked(1)
        assert "error_budget usual_way" in looked(2)
        [told] = [each for each in outbox.recorded(home) if each.alert.subject == "usual_way"]
        assert told.notifications == 1 and told.alert.severity == "error"
        assert "error_budget usual_way" not in looked(40)
        assert set(server_counts.kept(home)[-1].objective) == {slo.name for slo in SLOS}


def test_a_server_that_does_not_answer_is_told_at_the_second_look_and_resolved_when_it_does(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    url = Url(f"http://:key@127.0.0.1:{free_port()}")
    first = error_budgets.look(home, url, NOW, answered=True)
    assert (first.answers, first.alerts) == (False, [])
    second = error_budgets.look(home, url, NOW + MINUTE, answered=first.answers)
    [alert] = second.alerts
    assert alert.kind == "server_down" and "key" not in alert.message
    with deciding(home) as address:
        assert error_budgets.look(home, Url(address), NOW + 2 * MINUTE, answered=False).answers
    assert outbox.open_subjects(home, error_budgets.SERVER, error_budgets.DOWN) == []


@pytest.mark.parametrize("stored", ["", "[{}]", json.dumps([{"at": 1}])])
def test_damaged_memory_begins_anew(tmp_path: Path, stored: str) -> None:
    home = Settings(home=tmp_path)
    home.state.mkdir(parents=True)
    (home.state / "server_counts.json").write_text(stored)
    assert server_counts.kept(home) == []


def test_looks_are_kept_as_far_back_as_a_window_reaches(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    kept = server_counts.keep(home, looks([0.0] * 1000))
    assert server_counts.kept(home) == kept and 6 * 60 < len(kept) < 6 * 60 + 10
