"""A real Prometheus takes our rules, its alerts come when they should, and each panel of the dashboard has data."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds import decided_world
from worlds.exported_models import OF_EVENTS, export, made
from worlds.prometheus_server import CONFIGURATION, Prometheus, running
from worlds.serve_processes import Asking, started, wait_for

from jobs import settings
from jobs.settings import ROOT

pytestmark = [pytest.mark.embedded, pytest.mark.servers]

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "decisions.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = {"$use_case": ".*", "$__rate_interval": "1m"}
COLUMNS = 24


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Asks a server of two workers that decides all the while."""
    folder = tmp_path_factory.mktemp("watched")
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    decided_world.made(home.home)
    export(home, 3, made(folder / "bundle", names=OF_EVENTS))
    server, ids = started(home, "--workers", "2"), itertools.count(1_000_000)
    event = {"customer_id": 1, "terminal_id": 100, "tx_amount": 12.5}
    asking = Asking(f"{server.address}/v1/fraud/decisions", lambda: event | {"transaction_id": next(ids)})
    client = threading.Thread(target=asking.run)
    try:
        wait_for(server.ready)
        client.start()
        with running(folder / "prometheus", f"127.0.0.1:{server.port}") as found:
            yield found
    finally:
        asking.ended.set()
        client.join()
        server.kill()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_configuration_and_rules_are_taken() -> None:
    done = promtool("check", "config", "--lint=all", "--lint-fatal", CONFIGURATION / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_come_when_they_should_and_no_others() -> None:
    done = promtool("test", "rules", Path(__file__).parent / "prometheus" / "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_server_answers_is_as_prometheus_wants_it(prometheus: Prometheus) -> None:
    assert prometheus.awaited('up{job="evergreen"} == 1')
    assert len(prometheus.awaited("evergreen:slo_burn:rate5m")) == 3


@pytest.mark.parametrize("query", dict.fromkeys(QUERIES))
def test_the_query_of_a_panel_answers_with_data(prometheus: Prometheus, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert prometheus.awaited(query)


def test_no_alert_is_raised_while_all_is_well(prometheus: Prometheus) -> None:
    prometheus.awaited("evergreen:slo_burn:rate5m")
    assert prometheus.asked('ALERTS{alertname!~"EvergreenBudget.*"}') == []  # a busy machine may be slow


def test_panels_have_places_and_words_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        x, y, width, height = (panel["gridPos"][name] for name in "xywh")
        cells = set(itertools.product(range(x, x + width), range(y, y + height)))
        assert not cells & taken and x + width <= COLUMNS, panel["title"]
        taken |= cells
    for name in ("id", "title"):
        assert len({panel[name] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
