"""dbt's page: written without an engine, every column described, linked only where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs import settings as settings_module
from jobs.lakehouse import dbt_docs
from jobs.lakehouse.tables import attach
from jobs.use_cases.catalog import USE_CASES

pytestmark = pytest.mark.embedded
NODE = "model.evergreen.fraud__labels"


def test_the_page_describes_every_column_and_is_linked_once_it_is_there(tmp_path: Path) -> None:
    settings = settings_module.load({"EVERGREEN_HOME": str(tmp_path)})
    assert dbt_docs.link(settings, NODE) == ""
    page = dbt_docs.write(attach(settings), USE_CASES)
    assert dbt_docs.link(settings, NODE) == f"http://127.0.0.1:5001/#!/model/{NODE}"
    assert [file.name for file in page.parent.iterdir()] == ["index.html"]
    assert not (tmp_path / "engine").exists()
    manifest = json.loads((tmp_path / "dbt" / "docs_target" / "manifest.json").read_text())
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"] + list(
        manifest["sources"].values()
    )
    columns = {f"{n['name']} {c['name']}": c["description"] for n in nodes for c in n["columns"].values()}
    assert len(columns) > 100 and [name for name, text in columns.items() if not text.endswith(".")] == []
    assert columns["stg_returns__lines unit_price"] == "Price of a piece, in pounds."
    assert "Price of a piece, in pounds." in page.read_text()
    assert not re.search(re.escape(str(tmp_path)), page.read_text()), "no path of this machine"


def test_a_page_that_is_served_elsewhere_is_linked_there(tmp_path: Path) -> None:
    settings = settings_module.load(
        {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_DOCS": "https://docs.example.org/dbt/"}
    )
    dbt_docs.folder(settings).mkdir(parents=True)
    (dbt_docs.folder(settings) / dbt_docs.PAGE).write_text("")
    assert dbt_docs.link(settings, NODE) == f"https://docs.example.org/dbt/#!/model/{NODE}"
