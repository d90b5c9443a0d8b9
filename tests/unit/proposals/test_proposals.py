"""Files of strangers become projects: roles are those that a person would see, and no row is lost."""

from __future__ import annotations

import runpy
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.strangers import STRANGERS

from jobs import settings
from jobs.ingest import check
from jobs.proposals import proposal, written_project
from jobs.proposals.declared_use_case import use_case_of
from jobs.proposals.proposal import Proposal
from jobs.proposals.roles import Named
from jobs.settings import ROOT

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SEEN = {
    "german": {"Buchungsnr": "key", "Buchungszeit": "event time", "Kartennummer": "entity", "Händler": "entity",
               "Betrag": "amount", "Betrugsfall": "label", "Ort": "left out", "Art": "input"},
    "spanish": {"id_operacion": "key", "fecha": "event time", "tarjeta": "entity", "comercio": "entity",
                "importe": "amount", "fraude": "label", "canal": "input"},
    "american": {"Purchase Date": "event time", "Cust ID": "entity", "Merchant": "entity", "Total ($)": "amount",
                 "Chargeback?": "label", "Reported On": "label known at", "Reason": "left out", "Type": "input"},
    "russian": {"номер": "key", "время": "event time", "карта": "entity", "магазин": "entity", "сумма": "amount",
                "мошенничество": "label"},
    "awkward": {"version": "key", "timestamp": "event time", "order": "entity", "class": "label"},
    "classes": {"ticket_id": "key", "opened": "event time", "customer": "entity", "target": "label"},
    "elapsed": {"Time": "event time", "Amount": "amount", "Class": "label", "V1": "input"},
    "from_pandas": {"order_no": "key", "order_date": "event time", "customer_id": "entity", "price": "amount",
                    "is_returned": "label"},
    "unlabelled": {"order_id": "key", "ordered_at": "event time", "customer_id": "entity", "amount": "amount"},
}  # fmt: skip


@pytest.fixture(params=STRANGERS)
def stranger(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Proposal]:
    path = STRANGERS[request.param](tmp_path)
    return request.param, proposal.propose(path, "mine", "events", Named(), NOW)


def test_roles_are_those_that_a_person_would_see(stranger: tuple[str, Proposal]) -> None:
    name, found = stranger
    roles = {str(row["column"]): str(row["role"]) for row in found.rows()}
    assert {column: roles[column].split(",")[0] for column in SEEN[name]} == SEEN[name]


def test_the_written_file_declares_what_was_proposed_and_no_row_is_lost(
    stranger: tuple[str, Proposal], tmp_path: Path
) -> None:
    name, found = stranger
    _, files = written_project.write(found, tmp_path / "project")
    declared = runpy.run_path(str(tmp_path / "project" / "use_cases" / "mine.py"))
    given = declared["data"](tmp_path)
    assert replace(declared["USE_CASE"], default_input=None) == replace(use_case_of(found), default_input=None)
    assert all(path.exists() for path in [*files, *given.values()])
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    checked = check.check_files(home, declared["USE_CASE"], {n: [p] for n, p in given.items()}, None, None, NOW)
    assert not checked.refusals, checked.refusals
    assert [(each.read - each.good) for each in checked.inputs] == [0] * (1 if name == "unlabelled" else 2)
    assert checked.inputs[0].good == found.table.rows


def test_what_is_written_is_laid_out_as_ruff_lays_it_out(stranger: tuple[str, Proposal], tmp_path: Path) -> None:
    written_project.write(stranger[1], tmp_path / "project")
    ruff = [str(Path(sys.executable).parent / "ruff")]
    here = ["--no-cache", "--config", str(ROOT / "pyproject.toml"), str(tmp_path / "project")]
    for words in (["format", "--diff"], ["check"]):
        done = subprocess.run([*ruff, *words, *here], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
