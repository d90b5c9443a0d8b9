"""An asset reports each of its checks: with a result, or with why there was nothing to judge."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets.checks import results
from assets.declare import asset
from jobs.checks.check import Check, Outcome
from jobs.use_cases.fraud import FRAUD

FIRST, SECOND = Check("first", "The first."), Check("second", "The second.", severity="warning")
BLOCKING = Check("blocking", "It blocks.", blocking=True)
KEY, NEXT = dg.AssetKey(["fraud", "raw", "one"]), dg.AssetKey(["fraud", "raw", "two"])


def run(checks: list[Check], outcomes: list[Outcome], metadata: dict[str, Any]) -> dg.ExecuteInProcessResult:
    @asset(FRAUD, KEY, checks=checks)
    def one() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata=metadata, check_results=results(outcomes))

    @asset(FRAUD, NEXT, deps=[KEY])
    def two() -> None: ...

    return dg.materialize([one, two], raise_on_error=False)


def test_results_say_what_was_expected_and_found() -> None:
    outcome = FIRST.outcome(False, "one row", "two", rows=2)
    [found] = run([FIRST], [outcome], {}).get_asset_check_evaluations()
    assert (found.passed, found.severity.name, found.description) == (False, "ERROR", "expected one row, found two")
    assert {name: value.value for name, value in found.metadata.items()} == {
        "expected": "one row", "found": "two", "rows": 2
    }  # fmt: skip


def test_a_check_without_anything_to_judge_passes_and_says_why() -> None:
    made = run([FIRST, SECOND], [FIRST.outcome(True, "a", "a")], {"notes": "no champion yet"})
    assert made.success
    found = {each.check_name: each for each in made.get_asset_check_evaluations()}
    assert found["second"].passed and found["second"].description == "not judged: no champion yet"


def test_a_check_that_was_forgotten_is_an_error() -> None:
    assert not run([FIRST, SECOND], [FIRST.outcome(True, "a", "a")], {}).success


@pytest.mark.parametrize(("check", "goes_on"), [(FIRST, True), (SECOND, True), (BLOCKING, False)])
def test_only_a_blocking_failure_holds_back_what_follows(check: Check, goes_on: bool) -> None:
    made = run([check], [check.outcome(False, "one", "two")], {})
    assert bool(made.asset_materializations_for_node("fraud__raw__two")) is goes_on is made.success


def test_single_numbers_are_rounded_and_those_that_still_read_badly_are_in_a_table() -> None:
    metadata = {"rows_written": 1083249, "delta_version": 1083249, "average_precision": 0.8391193221845822, "day": "x",
                "size_bytes": 62747, "built": True, "dagster/row_count": 1083249, "few": 12}  # fmt: skip
    [made] = run([], [], metadata).asset_materializations_for_node("fraud__raw__one")
    shown = {name: value.value for name, value in made.metadata.items()}
    table = shown.pop("figures")
    assert shown == {**metadata, "average_precision": 0.839}
    assert [line for line in str(table).splitlines() if "_" in line] == [
        "| rows_written | 1,083,249 |", "| size_bytes | 62.7 kB |"
    ]  # fmt: skip


def test_readable_numbers_need_no_table() -> None:
    [made] = run([], [], {"few": 12, "score": 0.5}).asset_materializations_for_node("fraud__raw__one")
    assert set(made.metadata) == {"few", "score"}
