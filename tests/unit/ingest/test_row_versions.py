"""Which rows of a load are new: every split of rows over files, loads and moments ends in the same table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest.contracts import REASONS
from jobs.ingest.parsing import ROW
from jobs.ingest.parsing import UTC as UTC_TYPE
from jobs.ingest.row_versions import DUPLICATE_KEY, TOO_SOON, Choice, Versioning, choose
from jobs.use_case import Column, Source

LATENCY = timedelta(hours=1)
SOURCE = Source(
    name="orders",
    key=("shop", "order_id"),
    event_time="placed_at",
    latency=LATENCY,
    columns=(
        Column("shop", "identifier"),
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number", nullable=True),
    ),
)
START = datetime(2026, 3, 1, tzinfo=UTC)
CONTENT = ["shop", "order_id", "placed_at", "amount"]
SCHEMA: dict[str, Any] = {
    "shop": pl.String, "order_id": pl.Int64, "placed_at": UTC_TYPE, "amount": pl.Float64, "known_at": UTC_TYPE,
}  # fmt: skip


class InMemory:
    """The rows of a table, as `choose` sees them, without any shortcut."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame(schema={**SCHEMA, "event_date": pl.Date})

    def differing(self, rows: pl.DataFrame, content: Sequence[str]) -> list[date]:
        return rows["event_date"].unique().to_list()

    def on(self, days: Sequence[date], content: Sequence[str]) -> pl.DataFrame:
        return self.rows.filter(pl.col("event_date").is_in(list(days))).select(content)

    def of(self, keys: pl.DataFrame) -> pl.DataFrame:
        return self.rows.join(keys, on=keys.columns, how="semi")

    def load(
        self, rows: Sequence[tuple[object, ...]], as_of: datetime, versioned: bool, days: set[date] | None = None
    ) -> Choice:
        frame = pl.DataFrame(list(rows), schema=SCHEMA, orient="row").with_row_index(ROW)
        frame = frame.with_columns(pl.col("placed_at").dt.date().alias("event_date"))
        visible = frame.filter(pl.col("known_at") <= as_of)
        wanted = pl.lit(True) if days is None else pl.col("event_date").is_in(list(days))
        choice = choose(visible, wanted, Versioning(SOURCE, versioned, as_of), self)
        self.rows = pl.concat([self.rows, choice.new.select(self.rows.columns)])
        return choice

    @property
    def content(self) -> list[tuple[object, ...]]:
        return sorted(self.rows.drop("event_date").rows(), key=repr)


def order(number: int, hours: int, amount: float | None = 1.0, known: int | None = None) -> tuple[object, ...]:
    """An order of hour `hours`, by default known after the source's latency."""
    placed = START + timedelta(hours=hours)
    known_at = placed + LATENCY if known is None else START + timedelta(hours=known)
    return "a", number, placed, amount, known_at


def at(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def reasons(choice: Choice) -> list[str]:
    return [reason for row in choice.refused[REASONS] for reason in row]


def test_the_same_rows_twice_add_nothing() -> None:
    table = InMemory()
    rows = [order(1, 0), order(2, 1)]
    assert table.load(rows, at(9), False).new.height == 2
    again = table.load(rows, at(9), False)
    assert (again.new.height, again.already_known, again.duplicates, reasons(again)) == (0, 2, 0, [])


def test_exact_repetitions_are_dropped_and_counted() -> None:
    choice = InMemory().load(
        [order(1, 0), order(1, 0), order(1, 0), order(2, 0, None), order(2, 0, None)], at(9), False
    )
    assert (choice.new.height, choice.duplicates, reasons(choice)) == (2, 3, [])


def test_of_one_key_with_different_content_the_first_by_event_time_is_kept() -> None:
    choice = InMemory().load([order(1, 5, 2.0), order(1, 3, 3.0), order(1, 3, 4.0)], at(9), False)
    assert choice.new["amount"].to_list() == [3.0]
    assert reasons(choice) == [DUPLICATE_KEY] * 2


def test_a_changed_row_from_another_file_is_a_version_known_at_as_of() -> None:
    table = InMemory()
    table.load([order(1, 0, 1.0), order(2, 0)], at(9), False)
    table.load([order(1, 30, 5.0), order(2, 0)], at(40), False)
    assert table.content == sorted([order(1, 0, 1.0), order(2, 0), order(1, 30, 5.0, known=40)], key=repr)
    again = table.load([order(1, 30, 5.0)], at(50), False)
    assert (again.new.height, again.already_known) == (0, 1)


def test_a_changed_row_beside_the_stored_one_is_a_duplicate_wherever_it_stands() -> None:
    table = InMemory()
    table.load([order(1, 5, 1.0)], at(9), False)
    for rows in ([order(1, 5, 1.0), order(1, 5, 5.0)], [order(1, 3, 5.0), order(1, 5, 1.0)]):
        choice = table.load(rows, at(12), False)
        assert choice.new.is_empty()
        assert reasons(choice) == [DUPLICATE_KEY]


def test_a_second_correction_at_the_same_moment_waits_for_a_later_one() -> None:
    table = InMemory()
    table.load([order(1, 0, 1.0)], at(9), False)
    table.load([order(1, 0, 2.0)], at(10), False)
    assert reasons(table.load([order(1, 0, 3.0)], at(10), False)) == [TOO_SOON]
    assert table.load([order(1, 0, 3.0)], at(11), False).new["known_at"].to_list() == [at(11)]


def test_rows_that_say_when_they_became_known_are_versions() -> None:
    table = InMemory()
    rows = [order(1, 0, 1.0, known=1), order(1, 0, 2.0, known=5), order(1, 0, 2.0, known=7), order(1, 0, 9.0, known=5)]
    choice = table.load(rows, at(9), True)
    assert choice.new["amount"].to_list() == [1.0, 2.0, 2.0] or sorted(choice.new["amount"]) == [1.0, 2.0, 2.0]
    assert reasons(choice) == [DUPLICATE_KEY]
    assert reasons(table.load([order(1, 0, 8.0, known=1)], at(9), True)) == [DUPLICATE_KEY]


def test_days_not_asked_for_still_tell_a_duplicate_from_a_correction() -> None:
    table = InMemory()
    rows = [order(1, 0, 1.0), order(1, 30, 2.0)]
    table.load(rows, at(90), False, days={START.date()})
    choice = table.load(rows, at(90), False, days={(START + timedelta(days=1)).date()})
    assert choice.new.is_empty()
    assert reasons(choice) == [DUPLICATE_KEY]


numbers = st.integers(0, 5)
hours = st.integers(0, 80)
amounts = st.sampled_from([None, 0.0, 1.5, 2.5])


@given(
    rows=st.lists(st.tuples(numbers, hours, st.integers(0, 20)), max_size=25),
    parts=st.lists(st.integers(0, 3), min_size=25, max_size=25),
    moments=st.lists(hours, min_size=4, max_size=4),
    order_of_files=st.permutations(range(4)),
)
@with_examples(60)
def test_versions_split_over_loads_in_any_order_end_in_one_table(
    rows: list[tuple[int, int, int]], parts: list[int], moments: list[int], order_of_files: list[int]
) -> None:
    # Content follows from key and arrival, so that no two rows contradict each other.
    made = [order(n, h, float(n * 100 + h + late) if late % 3 else None, known=h + late) for n, h, late in rows]
    unique = {(r[1], r[4]): r for r in reversed(made)}
    made = [unique[(r[1], r[4])] for r in made]
    at_once, split = InMemory(), InMemory()
    at_once.load(made, at(200), True)
    for number, moment in zip(order_of_files, sorted(moments), strict=True):
        split.load([r for r, part in zip(made, parts, strict=False) if part == number], at(moment), True)
    for number in range(4):
        split.load([r for r, part in zip(made, parts, strict=False) if part == number], at(200), True)
    assert split.content == at_once.content == sorted(unique.values(), key=repr)


@given(
    rows=st.lists(st.tuples(numbers, hours, amounts), min_size=1, max_size=25),
    moments=st.lists(hours, max_size=5),
    by_day=st.booleans(),
)
@with_examples(60)
def test_a_growing_file_loaded_as_time_moves_on_ends_like_one_load(
    rows: list[tuple[int, int, float | None]], moments: list[int], by_day: bool
) -> None:
    made = [order(n, h, amount) for n, h, amount in rows]
    at_once, growing = InMemory(), InMemory()
    at_once.load(made, at(200), False)
    for moment in sorted(moments):
        growing.load([r for r in made if r[2] <= at(moment)], at(moment), False)  # type: ignore[operator]
    days = {r[2].date() for r in made}  # type: ignore[attr-defined]
    for day in sorted(days) if by_day else [None]:
        growing.load(made, at(200), False, days={day} if day else None)
    assert growing.content == at_once.content == first_by_event_time(made)


def first_by_event_time(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The oracle: of each key the first row by event time, then by position."""
    kept: dict[object, tuple[object, ...]] = {}
    for row in sorted(rows, key=lambda r: r[2]):  # type: ignore[arg-type, return-value]
        kept.setdefault(row[1], row)
    return sorted(kept.values(), key=repr)
