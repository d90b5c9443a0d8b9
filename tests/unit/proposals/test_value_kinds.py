"""What values are is guessed as a load can read them: each guess, given to the parser of a load, loses no value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.proposals.column_words import table_names
from jobs.proposals.proposed_windows import DAY, HOUR, Entity, Facts, lengths, windows
from jobs.proposals.value_kinds import PAIRS, guess
from jobs.proposals.words import RESERVED, SQL
from jobs.use_case_checks import NAME

FORMATS = ("%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%d %b %Y", "%Y/%m/%d %H:%M:%S",
           "%d/%b/%Y:%H:%M:%S +0000", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d")  # fmt: skip
TEXTS = {
    "integer": (["1", "20", "-3"], ["12", "0", "+4"]),
    "number": (["1.5", "20", "-3e5"], ["1,5", "20,25"], ["1.234,50", "7,00"], ["1,234.50", "7.00"], ["1.234", "2.500"]),
    "boolean": (["0", "1"], ["True", "False"], ["1.0", "0.0"]),
    "string": (["007", "012"], ["a", "b"], ["$5", "$6"], ["1-2", "3-4"]),
}


def days(count: int = 90) -> pl.Series:
    first = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
    return pl.Series([first + n * timedelta(days=1, hours=1) for n in range(count)], dtype=pl.Datetime("us", "UTC"))


@pytest.mark.parametrize(("kind", "texts"), [(kind, texts) for kind, lists in TEXTS.items() for texts in lists])
def test_texts_are_of_the_kind_that_a_person_would_say(kind: str, texts: list[str]) -> None:
    values = pl.Series(texts * 3)
    found = guess("x", values)
    assert found.kind == kind and found.read(values).null_count() == 0


@pytest.mark.parametrize("form", FORMATS)
def test_times_are_read_as_they_were_written(form: str) -> None:
    times = days()
    text = times.dt.strftime(form)
    read = guess("when", text).read(text)
    expected = (
        text.str.to_datetime(form.replace("Z", "").replace(" +0000", ""), strict=False)
        if form[-1] not in "Z0"
        else times
    )
    assert read.dt.date().to_list() == expected.dt.date().to_list()


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_numbers_since_1970_are_times_where_the_name_speaks_of_one(unit: str) -> None:
    ticks = days().dt.timestamp("us") // {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
    for values in (ticks, ticks.cast(pl.String)):
        found = guess("created_at", values)
        assert found.kind == "timestamp" and found.read(values).to_list() == days().to_list()
        assert guess("account", values).kind == "integer"


@pytest.mark.parametrize(("yes", "no"), PAIRS)
def test_words_for_yes_and_no_are_booleans(yes: str, no: str) -> None:
    values = pl.Series([yes, no.upper(), no, yes.title()] * 2)
    assert guess("x", values).read(values).to_list() == [True, False, False, True] * 2


def test_words_for_no_value_are_none_and_a_few_stray_ones_cost_no_row() -> None:
    values = pl.Series(["1.5", "N/A", "2.5", "-", None] * 40 + ["abc"])
    found = guess("amount", values)
    assert found.kind == "number" and set(found.written["null"]) == {"-", "N/A", "abc"}
    assert found.read(values).drop_nulls().to_list() == [1.5, 2.5] * 40


def test_integers_of_pandas_are_identifiers_where_the_name_says_so() -> None:
    values = pl.Series(["17850.0", None, "13047.0"])
    assert guess("CustomerID", values).read(values).to_list() == [17850, None, 13047]
    assert guess("price", values).kind == "number"


@given(st.lists(st.text(max_size=20), unique=True, max_size=8))
def test_names_in_tables_are_names_each_its_own(names: list[str]) -> None:
    found = table_names([*names, "select", "version", "Straße", "1st", "class"])
    assert len(set(found.values())) == len(found) and all(map(NAME.fullmatch, found.values()))
    assert not set(found.values()) & (SQL | RESERVED) and found["Straße"] == "strasse"


@given(st.integers(2, 2_000), st.floats(0.01, 400), st.booleans())
def test_windows_fit_into_the_file_and_are_declared_without_a_clash(span: int, gap: float, only_dates: bool) -> None:
    entities = (Entity("card_id", "card", gap * DAY), Entity("shop_id", "shop", DAY))
    facts = Facts("id", "at", span * DAY, only_dates, entities, ("amount", "tip"), "amount", "is_bad", delay=DAY)
    found = lengths(facts, gap * DAY)
    assert found and all(HOUR <= length <= max(DAY, span * DAY) for length in found)
    assert not only_dates or min(found) >= DAY
    assert len({name for each in windows(facts) for name in each.names}) == sum(len(w.names) for w in windows(facts))
