"""What an evening reads back from the one before: only what follows from the same files, names and givens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from jobs.datasets.day_cache import Array, DayCache

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
FILES = {FIRST: "one", SECOND: "two"}
VALUES = np.array([0.1, np.nan, np.inf])


def refused() -> Array:
    raise AssertionError("expected no computation")


@pytest.fixture
def evening(tmp_path: Path) -> Callable[..., DayCache]:
    def opened(files: Mapping[date, str] = FILES, names: Iterable[str] = ("a", "b")) -> DayCache:
        return DayCache(files, names, tmp_path / "cache.npz")

    return opened


def test_the_next_evening_computes_nothing_again(evening: Callable[..., DayCache]) -> None:
    first = evening()
    first.of("scores", [FIRST], ["model"], lambda: VALUES)
    first.save()
    np.testing.assert_array_equal(evening().of("scores", [FIRST], ["model"], refused), VALUES)


@pytest.mark.parametrize(
    ("files", "names", "asked"),
    [
        ({**FILES, FIRST: "corrected"}, "ab", ("scores", [FIRST], ["model"])),
        (FILES, "ba", ("scores", [FIRST], ["model"])),
        (FILES, "ab", ("scores", [SECOND], ["model"])),
        (FILES, "ab", ("scores", [FIRST, SECOND], ["model"])),
        (FILES, "ab", ("scores", [FIRST], ["another"])),
        (FILES, "ab", ("counts", [FIRST], ["model"])),
    ],
)
def test_whatever_differs_is_computed(
    evening: Callable[..., DayCache], files: Mapping[date, str], names: str, asked: tuple[str, list[date], list[str]]
) -> None:
    first = evening()
    first.of("scores", [FIRST], ["model"], lambda: VALUES)
    first.save()
    assert evening(files, names).of(*asked, lambda: np.zeros(1)).tolist() == [0.0]


def test_what_an_evening_did_not_use_is_forgotten(evening: Callable[..., DayCache]) -> None:
    first = evening()
    for model in ("old", "new"):
        first.of("scores", [FIRST], [model], lambda: VALUES)
    first.save()
    second = evening()
    second.of("scores", [FIRST], ["new"], refused)
    second.save()
    third = evening()
    third.of("scores", [FIRST], ["new"], refused)
    assert third.of("scores", [FIRST], ["old"], lambda: np.zeros(1)).tolist() == [0.0]


def test_a_damaged_cache_is_as_none(evening: Callable[..., DayCache], tmp_path: Path) -> None:
    (tmp_path / "cache.npz").write_bytes(b"PK damaged")
    first = evening()
    first.of("scores", [FIRST], ["model"], lambda: VALUES)
    first.save()
    np.testing.assert_array_equal(evening().of("scores", [FIRST], ["model"], refused), VALUES)
