"""A patch applies to the declarations, and they then have the features: whatever way they are written in."""

from __future__ import annotations

import runpy
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.declared_place import Place
from jobs.feature_search.patch import new_declarations, proposed_texts, source
from jobs.feature_search.space import Candidate, FactColumns, candidates, computed, with_all_entities
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from jobs.window_lengths import BEFORE, Last, Trend
from jobs.windows import Aggregate

DAY = timedelta(days=1)
FACTS = FactColumns(
    ("tx_amount",), ("customer_id", "terminal_id"), (), (True, False), {"tx_amount": (9.5, 120.0)}, 7 * DAY, 60 * DAY
)
EMPTY = replace(FRAUD, windows=tuple(replace(w, aggregates=(), ratios=()) for w in FRAUD.windows))
SPACE = candidates(with_all_entities(EMPTY), FACTS)
OF_CUSTOMER = [candidate for candidate in SPACE if candidate.windows == "customer_windows"]
HEAD = 'CUSTOMER = WindowFeatures(name="customer_windows", entity="customer_id", id="transaction_id", '
HEAD += 'event_timestamp="tx_datetime", '
LINES = """CUSTOMER = WindowFeatures(
    name="customer_windows",
    entity="customer_id",
    id="transaction_id",
    event_timestamp="tx_datetime",
    ratios=(
        Ratio("other", "tx_amount", Aggregate("mean", "tx_amount")),
    ),
    aggregates=(
        Aggregate("count"),%s
    ),
)
"""
LAYOUTS = {
    "one line": HEAD + 'aggregates=(Aggregate("count"),))\n',
    "one line of two": HEAD + 'aggregates=(Aggregate("count"), Aggregate("max", "tx_amount")))\n',
    "one line of two with a comma": HEAD + 'aggregates=(Aggregate("count"), Aggregate("max", "tx_amount"),))\n',
    "one line without members": HEAD + "aggregates=())\n",
    "beyond ASCII": HEAD + 'description="Größe – 顧客", aggregates=(Aggregate("count"),))\n',
    "without an end of the last line": HEAD + 'aggregates=(Aggregate("count"),))',
    "lines, with ratios": LINES % "",
    "lines without a last comma": LINES % '\n        Aggregate("max", "tx_amount")  # the last, of all',
    "of a module": HEAD.replace("WindowFeatures", "windows.WindowFeatures") + "aggregates=(Aggregate('count'),))\n",
}
IMPORTS = '"""Declared."""\n\nfrom jobs import windows\nfrom jobs.windows import Aggregate, Ratio, WindowFeatures\n\n'


def declared(file: Path) -> UseCase:
    return replace(FRAUD, windows=(runpy.run_path(str(file))["CUSTOMER"],))


def applied(patch: bytes, root: Path) -> None:
    subprocess.run(["git", "apply", "-"], input=patch, cwd=root, check=True)


def expect_declared(before: UseCase, file: Path) -> None:
    [after], [old] = declared(file).windows, before.windows
    assert after.aggregates == (*old.aggregates, *(candidate.aggregate for candidate in OF_CUSTOMER))
    assert {ratio.name for ratio in after.ratios} == {"customer_tx_amount_to_level", *(r.name for r in old.ratios)}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_patched_file_declares_what_was_found(tmp_path: Path, layout: str, end: str) -> None:
    file = tmp_path / "some" / "declared.py"
    file.parent.mkdir()
    (tmp_path / ".git").mkdir()
    file.write_bytes((IMPORTS + LAYOUTS[layout]).replace("\n", end).encode())
    before = declared(file)
    proposed = proposed_texts(before, OF_CUSTOMER)
    assert proposed.root == tmp_path and not proposed.unpatched and not proposed.declarations
    applied(proposed.patch, tmp_path)
    expect_declared(before, file)
    assert end == "\n" or b"\n" not in file.read_bytes().replace(b"\r\n", b""), "ends of lines stay"


def test_a_file_outside_of_a_repository_is_patched_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "declared.py"
    file.write_text(IMPORTS + LAYOUTS["lines, with ratios"])
    before = declared(file)
    proposed = proposed_texts(before, OF_CUSTOMER)
    assert proposed.root == tmp_path
    applied(proposed.patch, tmp_path)
    expect_declared(before, file)


def test_a_patch_applies_to_a_file_that_was_edited_elsewhere_and_else_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "declared.py"
    file.write_text(IMPORTS + "# between\n" * 20 + LAYOUTS["lines, with ratios"])
    before, text = declared(file), file.read_text()
    patch = proposed_texts(before, OF_CUSTOMER).patch
    file.write_text(text.replace("# between\n", "# edited\n", 1).replace("# between\n# between\n", "", 1))
    applied(patch, tmp_path)
    expect_declared(before, file)
    edited = text.replace('Aggregate("count"),', 'Aggregate("count", windows=(timedelta(days=2),)),')
    file.write_text(edited)
    with pytest.raises(subprocess.CalledProcessError):
        applied(patch, tmp_path)
    assert file.read_text() == edited


@pytest.mark.parametrize(
    "code",
    [
        "ALL = (Aggregate('count'),)\n" + HEAD + "aggregates=ALL)\n",
        "N = 'customer_windows'\n" + HEAD.replace('"customer_windows"', "N") + "aggregates=(Aggregate('count'),))\n",
        "\ufeff" + IMPORTS + HEAD + "aggregates=(Aggregate('count'),))\n",
    ],
    ids=["a tuple from elsewhere", "a name from elsewhere", "a byte order mark"],
)  # fmt: skip
def test_what_no_patch_fits_is_written_as_declarations_to_copy(tmp_path: Path, code: str) -> None:
    file = tmp_path / "declared.py"
    file.write_text(code if code.startswith("\ufeff") else IMPORTS + code)
    proposed = proposed_texts(declared(file), OF_CUSTOMER)
    assert proposed.patch == b"" and len(proposed.unpatched) == 1 and "by hand" in proposed.unpatched[0]
    known: dict[str, Any] = {}
    exec(proposed.declarations, known)
    assert known["MORE_AGGREGATES"] == tuple(candidate.aggregate for candidate in OF_CUSTOMER)
    assert [ratio.name for ratio in known["MORE_RATIOS"]] == ["customer_tx_amount_to_level"]


def test_a_declaration_that_stands_in_no_file_is_written_to_copy() -> None:
    customer, terminal, _ = FRAUD.windows
    typed = replace(customer, description="typed")
    object.__setattr__(typed, "declared_at", Place("<stdin>", 1))
    proposed = proposed_texts(replace(FRAUD, windows=(typed, terminal)), OF_CUSTOMER)
    assert proposed.patch == b"" and b"MORE_AGGREGATES" in proposed.declarations and "<stdin>" in proposed.unpatched[0]


@pytest.mark.parametrize("candidate", SPACE, ids=lambda candidate: str(candidate.aggregate.name))
def test_an_aggregate_is_what_its_source_declares(candidate: Candidate) -> None:
    known = {"Aggregate": Aggregate, "timedelta": timedelta, "BEFORE": BEFORE, "Last": Last, "Trend": Trend}
    assert eval(source(candidate.aggregate), known) == candidate.aggregate


def test_a_pair_that_has_no_table_is_a_declaration_of_its_own() -> None:
    of_pair = [candidate for candidate in SPACE if candidate.windows == "customer_terminal_windows"]
    assert {candidate.aggregate.name for candidate in of_pair} >= {
        "customer_terminal_events", "customer_terminal_previous_age", "customer_terminal_known_positives"
    }  # fmt: skip
    known: dict[str, Any] = {}
    without = replace(FRAUD, windows=tuple(w for w in FRAUD.windows if len(w.keys) == 1))
    exec(proposed_texts(without, of_pair).declarations, known)
    declared = known["CUSTOMER_TERMINAL_WINDOWS"]
    assert declared.keys == ("customer_id", "terminal_id")
    assert declared.aggregates == tuple(candidate.aggregate for candidate in of_pair)
    assert proposed_texts(without, of_pair).patch == b"" and new_declarations(without, SPACE[:1]) == ""
    assert new_declarations(FRAUD, SPACE) == ""


def test_an_entity_without_a_table_is_searched_and_declared_too() -> None:
    bare = replace(FRAUD, windows=())
    found = candidates(with_all_entities(bare), FACTS)
    assert {candidate.windows for candidate in found} == {
        "customer_windows", "terminal_windows", "customer_terminal_windows"
    }  # fmt: skip
    known: dict[str, Any] = {}
    exec(proposed_texts(bare, found).declarations, known)
    assert known["TERMINAL_WINDOWS"].keys == ("terminal_id",) and len(known["TERMINAL_WINDOWS"].ratios) == 1
    taken = replace(FRAUD, windows=(replace(FRAUD.windows[0], name="terminal_windows"),))
    assert [windows.name for windows in with_all_entities(taken).windows][1] == "more_terminal_windows"


def test_classes_that_are_written_alike_are_counted_apart() -> None:
    alike = replace(FACTS, label_values=("A b", "a-b", "Größe", "日本"))
    for declared in with_all_entities(EMPTY).windows:
        computed(declared, candidates(with_all_entities(EMPTY), alike))
