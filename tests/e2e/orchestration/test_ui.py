"""The UI as a person uses it: the lineage, an asset's page with pictures and checks, one asset built by a click."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from worlds.browser import chromium

from jobs import settings
from jobs.checks import raw_loads
from jobs.ingest import contracts
from jobs.lakehouse import dbt_models, engine
from jobs.loopback import free_port
from jobs.simulate import simulator
from orchestration.error_boundary import NOBODY

pytestmark = pytest.mark.browser

GROUPS = ("raw", "staging", "marts", "features", "retraining", "training")
EXPANDED = {
    ("raw", "staging", "marts"): ("fraud_reports", "labels", "customers"),
    ("features", "training"): ("customer_windows", "terminal_windows", "online_store", "training_set"),
}
"""Groups whose assets are shown at once, and some of these; of a graph that is larger Dagster draws a part."""
TRAINING_SET = ["fraud", "features", "training_set"]
PATIENCE = 180
"""Seconds for what takes two or three on an idle machine: Dagster imports itself in each new process."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which the whole lineage of a small world was built once."""
    folder = tmp_path_factory.mktemp("ui")
    files = simulator.write(simulator.scenario("stable", days=10, customers=200, terminals=150), folder / "input")
    arguments = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    home = folder / "home"
    dbt_models.manifest(settings.load({"EVERGREEN_HOME": str(home)}))  # its processes then need not parse
    try:
        done = subprocess.run(
            [_evergreen(), "run", *arguments], env=_environment(home), capture_output=True, text=True, check=False
        )
        # In ten days there is no champion yet.
        assert done.returncode == NOBODY, done.stdout + done.stderr
        yield home
    finally:
        engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """Where `evergreen ui` answers: webserver and daemon, ended with all their children."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (home / "ui.log").open("w") as log:
        command = [_evergreen(), "ui", "--port", str(port)]
        process = subprocess.Popen(
            command, env=_environment(home), stdout=log, stderr=log, start_new_session=True, cwd=home
        )
    try:
        _until(lambda: process.poll() is not None or _answers(f"{address}/server_info"), "the UI to answer")
        assert process.poll() is None, (home / "ui.log").read_text()
        yield address
    finally:
        _end(process)


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[BrowserContext]:
    """One browser for all tests: it keeps the scripts of Dagster, and what it was told when it was greeted."""
    with chromium() as started:
        yield started.new_context(viewport={"width": 1400, "height": 1000}, base_url=url)


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    # Dagster greets who opens it for the first time.
    skip = page.get_by_role("button", name="Skip")
    page.add_locator_handler(skip, lambda button: button.click())
    yield page
    page.close()


@pytest.mark.parametrize("expanded", EXPANDED, ids=" and ".join)
def test_the_lineage_shows_every_layer(page: Page, expanded: tuple[str, ...]) -> None:
    # Of a graph that is larger than the window Dagster draws a part.
    page.set_viewport_size({"width": 2600, "height": 1900})
    groups = ",".join(f"global%40global%3A{group}" for group in expanded)
    page.goto(f"/asset-groups~key%3A%22fraud%2F*%22/?expanded={groups}")
    for group in GROUPS:
        expect(_seen(page, group).first).to_be_visible()
    for name in EXPANDED[expanded]:
        expect(_seen(page, name).first).to_be_visible()
    expect(_seen(page, "transactions")).to_have_count(3 if "raw" in expanded else 0)  # raw, staging, marts


def test_an_asset_page_shows_its_meaning_pictures_and_rows(page: Page) -> None:
    page.goto("/assets/fraud/features/terminal_windows")
    expect(page.get_by_text("What happened at the terminal lately")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="terminal_risk_7d_delay_7d")).to_contain_text("ending 7 days before")
    rows = _latest(page, ["fraud", "features", "terminal_windows"])["dagster/row_count"]
    assert rows > 1000
    expect(_seen(page, f"{rows:,}").first).to_be_visible()
    expect(page.get_by_role("link", name="fraud / marts / labels").first).to_be_visible()
    for metadata in ("distributions", "rows_per_day"):
        page.get_by_role("row").filter(has_text=metadata).get_by_text("[Show Markdown]").click()
        picture = page.get_by_role("img", name="plot", exact=True)
        expect(picture).to_be_visible()
        size = picture.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
        assert 300 < size[0] <= 1050 and size[1] > 100  # wider than this, the dialog cuts it off
        page.get_by_role("button", name="Close").click()
        expect(picture).to_be_hidden()


def test_a_raw_table_shows_its_contract_as_passed_checks(page: Page) -> None:
    page.goto("/assets/fraud/raw/transactions?view=checks")
    for check in ("schema", "uniqueness", "references", "not_in_the_future"):
        expect(_seen(page, check).first).to_be_visible()
    expect(_seen(page, "Succeeded")).to_have_count(len(contracts.CHECKS) + len(raw_loads.CHECKS))


def test_a_mart_says_where_each_column_comes_from(page: Page) -> None:
    query = """{ assetOrError(assetKey: {path: ["fraud", "marts", "labels"]}) { ... on Asset {
        assetMaterializations(limit: 1) { metadataEntries { ... on TableColumnLineageMetadataEntry { lineage {
            columnName columnDeps { assetKey { path } columnName } } } } } } } }"""
    (latest,) = _ask(page, query)["assetOrError"]["assetMaterializations"]
    (lineage,) = [entry["lineage"] for entry in latest["metadataEntries"] if "lineage" in entry]
    sources = {c["columnName"]: {(d["assetKey"]["path"][1], d["columnName"]) for d in c["columnDeps"]} for c in lineage}
    assert sources["is_fraud"] == {("staging", "is_fraud")}
    assert sources["tx_datetime"] == {("marts", "tx_datetime")}


def test_the_daemon_says_that_what_was_just_built_is_fresh(page: Page) -> None:
    asset = json.dumps(TRAINING_SET)
    query = f"""{{ assetNodeOrError(assetKey: {{path: {asset}}}) {{ ... on AssetNode {{
        freshnessStatusInfo {{ freshnessStatus }} }} }} }}"""

    def fresh() -> bool:
        found = _ask(page, query)["assetNodeOrError"]["freshnessStatusInfo"]
        return found is not None and found["freshnessStatus"] == "HEALTHY"

    _until(fresh, "the daemon to look at freshness")


def test_the_command_says_where_everything_is(url: str, home: Path) -> None:
    log = home / "ui.log"
    _until(lambda: "Ctrl-C" in log.read_text(), "the addresses")
    names = ("Dagster ", "MLflow ", "Logs ")  # libraries may warn around them
    dagster, mlflow, logs = (line for line in log.read_text().splitlines() if line.startswith(names))
    assert dagster.split() == ["Dagster", url] and logs.split() == ["Logs", str(home / "logs")]
    _until(lambda: _answers(f"{mlflow.split()[1]}/health"), "MLflow to answer")


def test_a_run_of_the_command_line_is_in_jobs_and_in_the_overview(page: Page) -> None:
    selector = '{pipelineName: "fraud_lineage", repositoryName: "__repository__"'
    selector += ', repositoryLocationName: "orchestration.definitions"}'
    query = f"""{{ pipelineOrError(params: {selector}) {{ ... on Pipeline {{
        runs(limit: 5) {{ status repositoryOrigin {{ repositoryLocationName }} }} }} }} }}"""
    (run,) = _ask(page, query)["pipelineOrError"]["runs"]
    assert run == {
        "status": "SUCCESS",
        "repositoryOrigin": {"repositoryLocationName": "orchestration.definitions"},
    }
    page.goto("/overview/activity/timeline?groupBy=job&range=12HR")
    expect(_seen(page, "fraud_lineage").first).to_be_visible()


def test_an_asset_is_built_on_demand_by_a_click(page: Page) -> None:
    before = _latest(page, TRAINING_SET)["run"]
    page.goto("/assets/" + "/".join(TRAINING_SET))
    page.get_by_role("button", name="Materialize").first.click()
    expect(page.get_by_text("Launched run")).to_be_visible()
    run = _newest_run(page)
    assert run["runId"] != before
    _until(lambda: _newest_run(page)["status"] in ("SUCCESS", "FAILURE", "CANCELED"), "the launched run to end")
    assert _newest_run(page) == {"runId": run["runId"], "status": "SUCCESS"}
    assert _latest(page, TRAINING_SET)["run"] == run["runId"]


def _evergreen() -> str:
    return str(Path(sys.executable).with_name("evergreen"))


def _environment(home: Path) -> dict[str, str]:
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("EVERGREEN_", "SPARK_", "DAGSTER_"))}
    return {**inherited, "EVERGREEN_HOME": str(home)}


def _until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.5)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """An orderly end for Dagster's processes; then whatever of them is left."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _seen(page: Page, text: str) -> Any:
    """What one can see of it: Dagster also draws off-screen to measure."""
    return page.get_by_text(text, exact=True).filter(visible=True)


def _ask(page: Page, query: str) -> Any:
    answer = page.request.post("/graphql", data={"query": query}).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _latest(page: Page, asset: list[str]) -> dict[str, Any]:
    """Run and integer metadata of the latest materialization."""
    query = f"""{{ assetOrError(assetKey: {{path: {json.dumps(asset)}}}) {{ ... on Asset {{
        assetMaterializations(limit: 1) {{ runId metadataEntries {{ label ... on IntMetadataEntry {{ intValue }} }} }}
    }} }} }}"""
    (latest,) = _ask(page, query)["assetOrError"]["assetMaterializations"]
    return {"run": latest["runId"]} | {e["label"]: e.get("intValue") for e in latest["metadataEntries"]}


def _newest_run(page: Page) -> dict[str, str]:
    found = _ask(page, "{ runsOrError(limit: 1) { ... on Runs { results { runId status } } } }")
    run: dict[str, str] = found["runsOrError"]["results"][0]
    return run
