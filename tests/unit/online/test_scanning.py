"""Features by one compiled pass over all facts, against the batch kernel, to the last bit, over hostile histories."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.online.test_entity_facts import BY_LABELS, FEATURES, S
from worlds.examples import with_examples
from worlds.logged_histories import AMOUNTS, SECOND, History

from jobs.online.column_type import ColumnType
from jobs.online.scanning import prepared
from jobs.online.scanning.scan import Scan
from jobs.windows import Aggregate

pytestmark = pytest.mark.embedded

INT64 = ColumnType("int64", nullable=False)
FUNCTIONS: tuple[Any, ...] = ("sum", "std", "max", "distinct")
NEAR = tuple(amount for amount in AMOUNTS if not 0 < abs(amount) < 1e-300)
OF_NUMBERS = replace(
    FEATURES, aggregates=tuple(each for each in FEATURES.aggregates if "kind" not in each.columns)
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def kernel() -> Iterator[None]:
    prepared.prepare()
    yield


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each pass found what it was asked for."""
    found, scan = [], Scan.__call__

    def noted(self: Scan, *facts: Any) -> Any:
        values = scan(self, *facts)
        found.append(values is not None)
        return values

    monkeypatch.setattr(Scan, "__call__", noted)
    return found


@given(st.integers(0, 2**32), st.sampled_from(["int64", "string"]), st.sampled_from([NEAR, AMOUNTS]))
@with_examples(12)
def test_every_decision_equals_the_batch_kernel(seed: int, kind: Any, amounts: tuple[float, ...]) -> None:
    history = History(OF_NUMBERS, Random(seed), ColumnType(kind, nullable=False), amounts=amounts)
    history.play(files=12, steps=40)
    history.check()


@given(st.integers(0, 2**32))
@with_examples(15)
def test_levels_of_labels_equal_the_batch_kernel(seed: int) -> None:
    history = History(BY_LABELS, Random(seed), INT64, amounts=NEAR)
    history.play(files=12, steps=40)
    history.check()


def test_long_histories_are_scanned_until_they_are_too_long(scans: list[bool]) -> None:
    windows = (9 * S, 1000 * S)
    aggregates = (
        *(Aggregate(function, "price", windows, delay) for function in FUNCTIONS for delay in (0 * S, S)),
        Aggregate("percentile", "price", windows, percentile=0.9),
    )
    few = replace(FEATURES, aggregates=aggregates, ratios=())
    history = History(few, Random(5), INT64, ahead=SECOND, amounts=NEAR)
    history.play(files=0, steps=4000)
    history.check()
    assert all(scans)
    assert len(scans) > 1000
