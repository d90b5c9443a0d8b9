"""A patch applies to the declarations, and they then have the features: whatever way they are written in."""

from __future__ import annotations

import runpy
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Invalid
from jobs.feature_search.patch import new_declarations, patch, source
from jobs.feature_search.space import Candidate, FactColumns, candidates, with_pairs
from jobs.settings import ROOT
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.windows import Aggregate, Ratio, WindowFeatures

DAY = timedelta(days=1)
FACTS = FactColumns(("tx_amount",), ("customer_id", "terminal_id"), (), {"tx_amount": (9.5, 120.0)}, 7 * DAY, 60 * DAY)
EMPTY = replace(FRAUD, windows=tuple(replace(w, aggregates=(), ratios=()) for w in FRAUD.windows))
SPACE = candidates(with_pairs(EMPTY), FACTS)
LAYOUTS = {
    "one line": 'CUSTOMER = WindowFeatures(name="customer_windows", entity="customer_id", id="transaction_id", '
    'event_timestamp="tx_datetime", aggregates=(Aggregate("count"),))\n',
    "one line of two": 'CUSTOMER = WindowFeatures(name="customer_windows", entity="customer_id", id="transaction_id", '
    'event_timestamp="tx_datetime", aggregates=(Aggregate("count"), Aggregate("max", "tx_amount")))\n',
    "lines, with ratios": 'CUSTOMER = WindowFeatures(\n    name="customer_windows",\n    entity="customer_id",\n'
    '    id="transaction_id",\n    event_timestamp="tx_datetime",\n    ratios=(\n        Ratio("other", "tx_amount", '
    'Aggregate("mean", "tx_amount")),\n    ),\n    aggregates=(\n        Aggregate("count"),\n    ),\n)\n',
}
IMPORTS = '"""Declared."""\n\nfrom jobs.windows import Aggregate, Ratio, WindowFeatures, WindowFeatures\n\n'


def declared(file: Path) -> UseCase:
    return replace(FRAUD, windows=(runpy.run_path(str(file))["CUSTOMER"],))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_patched_file_declares_what_was_found(tmp_path: Path, layout: str) -> None:
    file = tmp_path / "some" / "declared.py"
    file.parent.mkdir()
    file.write_text(IMPORTS + LAYOUTS[layout])
    before = declared(file)
    chosen = [candidate for candidate in SPACE if candidate.windows == "customer_windows"]
    text = patch(before, chosen, tmp_path)
    subprocess.run(["git", "apply", "-"], input=text, text=True, cwd=tmp_path, check=True)
    [after], [old] = declared(file).windows, before.windows
    assert after.aggregates == (*old.aggregates, *(candidate.aggregate for candidate in chosen))
    assert {ratio.name for ratio in after.ratios} == {"customer_tx_amount_to_level", *(r.name for r in old.ratios)}


@pytest.mark.parametrize("candidate", SPACE, ids=lambda candidate: str(candidate.aggregate.name))
def test_an_aggregate_is_what_its_source_declares(candidate: Candidate) -> None:
    known = {"Aggregate": Aggregate, "Ratio": Ratio, "timedelta": timedelta}
    assert eval(source(candidate.aggregate), known) == candidate.aggregate


def test_declarations_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"expected declarations below .*, found .*fraud\.py; write"):
        patch(FRAUD, SPACE[:1], tmp_path)


def test_a_pair_that_has_no_table_is_a_declaration_of_its_own() -> None:
    of_pair = [candidate for candidate in SPACE if candidate.windows == "customer_terminal_windows"]
    assert {candidate.aggregate.name for candidate in of_pair} >= {
        "customer_terminal_events", "customer_terminal_previous_age", "customer_terminal_known_positives"
    }  # fmt: skip
    known: dict[str, Any] = {"Aggregate": Aggregate, "WindowFeatures": WindowFeatures, "timedelta": timedelta}
    exec(new_declarations(FRAUD, SPACE), known)
    declared = known["CUSTOMER_TERMINAL_WINDOWS"]
    assert declared.keys == ("customer_id", "terminal_id")
    assert declared.aggregates == tuple(candidate.aggregate for candidate in of_pair)
    assert patch(FRAUD, of_pair, ROOT) == "" and new_declarations(FRAUD, SPACE[:1]) == ""
