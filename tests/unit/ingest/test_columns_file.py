"""A columns file says how files and values are written; what it does not say and can be read in two ways is refused."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile, columns_file, read_columns_file
from jobs.ingest.parsing import Batch
from jobs.ingest.registered_inputs import InputError
from jobs.use_case import Column, Source, UseCase

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ORDERS = Source(
    name="orders",
    option="sales",
    key=("order_id",),
    event_time="placed_at",
    columns=(
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number"),
        Column("gift", "boolean", nullable=True),
        Column("items", "integer", nullable=True, optional=True),
    ),
)
USE_CASE = UseCase(
    name="shop", description="", owners=(), sources=(ORDERS,), first_day=date(2026, 1, 1), last_day=date(2026, 1, 1),
    events="e", labels="l", event_id="order_id", event_timestamp="placed_at", entities=(), label="x",
    label_maturity=NOW - NOW, windows=(), feature_service="shop", training_window=timedelta(days=1),
)  # fmt: skip
GOOD = {"ORDER_ID": "1", "PLACED_AT": "2026-05-02 10:00:00", "AMOUNT": "10.5", "GIFT": "true", "ITEMS": "3"}


def declared(tmp_path: Path, text: str) -> ColumnsFile:
    path = tmp_path / "columns.yaml"
    path.write_text(text)
    return columns_file(read_columns_file(path), USE_CASE, path)


def read(tmp_path: Path, column: str, values: Sequence[object], said: str = "", parquet: bool = False) -> Batch:
    rows = {name: [value] * len(values) for name, value in GOOD.items()} | {
        "ORDER_ID": [str(n) for n in range(len(values))],
        column: list(values),
    }
    path = tmp_path / f"orders.{'parquet' if parquet else 'csv'}"
    frame = pl.DataFrame(rows)
    frame.write_parquet(path) if parquet else frame.write_csv(path)
    names = declared(tmp_path, said) if said else ColumnsFile()
    inspected = inspection.inspect(ORDERS, [path], names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    return read_batch(ORDERS, inspected, names, {}, NOW)


MOMENT = datetime(2026, 5, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("02/05/2026 10:00:00", 'format: "%d/%m/%Y %H:%M:%S"'),
        ("05/02/2026 10:00:00", 'format: "%m/%d/%Y %H:%M:%S"'),
        ("02.05.26 10:00", 'format: "%d.%m.%y %H:%M"'),
        ("02/05/2026 12:00", 'format: "%d/%m/%Y %H:%M", timezone: Europe/Berlin'),
        ("02/05/2026 12:00 +0200", 'format: "%d/%m/%Y %H:%M %z"'),
        ("2 May 2026, 10:00 AM", 'format: "%d %b %Y, %I:%M %p"'),
        ("20260502100000", 'format: "%Y%m%d%H%M%S"'),
        ("1777716000", "format: s"),
        ("1777716000.0", "format: s"),
        ("1777716000000", "format: ms"),
        ("1777716000000000", "format: us"),
        ("1777716000000000000", "format: ns"),
        ("1777716000", "format: ['%d/%m/%Y', s]"),
        ("2026-05-02 10:00:00 UTC", "timezone: Asia/Tokyo"),
        ("2026-05-02 19:00:00", "timezone: Asia/Tokyo"),
    ],
)
def test_times_are_read_as_declared(tmp_path: Path, text: str, said: str) -> None:
    batch = read(tmp_path, "PLACED_AT", [text], f"orders: {{placed_at: {{{said}}}}}")
    assert batch.frame["placed_at"].to_list() == [MOMENT]


def test_only_the_declared_format_is_read(tmp_path: Path) -> None:
    batch = read(
        tmp_path, "PLACED_AT", ["02/05/2026", "2026-05-02", "02/05/26"], "sales: {placed_at: {format: '%d/%m/%Y'}}"
    )
    assert batch.frame["placed_at"].to_list() == [datetime(2026, 5, 2, tzinfo=UTC), None, None]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int32, pl.UInt64, pl.Float64])
def test_numbers_in_parquet_are_times_once_their_unit_is_declared(tmp_path: Path, dtype: Any) -> None:
    values = pl.Series([1777716000], dtype=dtype)
    with pytest.raises(
        InputError, match=r'`orders: \{placed_at: \{format: "s"\}\}` \(the first is then 2026-05-02 10:00'
    ):
        read(tmp_path, "PLACED_AT", values.to_list(), parquet=True)
    batch = read(tmp_path, "PLACED_AT", values.to_list(), "orders: {placed_at: {format: s}}", parquet=True)
    assert batch.frame["placed_at"].to_list() == [MOMENT]


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("12,50", 'decimal: ","', 12.5),
        ("1.234,5", 'decimal: ",", thousands: "."', 1234.5),
        ("1.234", 'thousands: "."', 1234.0),
        ("1.234", 'decimal: "."', 1.234),
        ("1,234.5", 'thousands: ","', 1234.5),
        ("1'234'567.5", 'thousands: "\'"', 1234567.5),
        ("1 234,5", 'decimal: ",", thousands: " "', 1234.5),
        ("1\u202f234,5", 'decimal: ",", thousands: " "', 1234.5),
        ("-5", 'decimal: ","', -5.0),
        ("12.5", 'decimal: ","', None),
        ("12.34,5", 'decimal: ",", thousands: "."', None),
        ("1,2,3", 'decimal: ","', None),
    ],
)
def test_numbers_are_read_with_the_declared_marks(tmp_path: Path, text: str, said: str, expected: float | None) -> None:
    batch = read(tmp_path, "AMOUNT", [text], f"orders: {{amount: {{{said}}}}}")
    assert batch.frame["amount"].to_list() == [expected]


@pytest.mark.parametrize(
    "values", [["1.234"], ["1.234", "7", "12.500"], ["1.234", "12,50"], ["1.234", "10.5", "12,50"]]
)
def test_numbers_that_can_be_read_in_two_ways_are_refused_with_the_choice(tmp_path: Path, values: list[str]) -> None:
    with pytest.raises(
        InputError, match=r"'1.234' in line 2, which is 1.234 or 1234; .*decimal: \".\".*thousands: \".\""
    ):
        read(tmp_path, "AMOUNT", values)


@pytest.mark.parametrize("values", [["1.234", "10.5"], ["0.123"], ["1.234", "1e3", "5."], ["1234.567"]])
def test_numbers_are_not_refused_where_another_value_shows_what_a_point_is(tmp_path: Path, values: list[str]) -> None:
    assert read(tmp_path, "AMOUNT", values).frame["amount"].null_count() == 0


def test_words_are_those_declared(tmp_path: Path) -> None:
    batch = read(
        tmp_path, "GIFT", ["yes", "N", "Y ", "true", "-"], "orders: {gift: {true: [Y, yes], false: n, 'null': '-'}}"
    )
    assert batch.frame["gift"].to_list() == [True, False, True, None, None]
    good, _, _ = contracts.split(batch.frame, contracts.row_checks(ORDERS, batch.frame.columns, "UTC", NOW))
    assert good["order_id"].to_list() == [0, 1, 2, 4]


@pytest.mark.parametrize("column", ["AMOUNT", "ITEMS"])
def test_words_for_no_value_are_null_in_any_kind_of_file(tmp_path: Path, column: str) -> None:
    said = f"orders: {{{column.lower()}: {{'null': [NULL, '-1']}}}}"
    assert read(tmp_path, column, ["NULL", "-1", "5"], said).frame[column.lower()].to_list() == [None, None, 5]
    for values in ([-1, 5], [-1.0, 5.0], [Decimal("-1.00"), Decimal("5.00")]):
        assert read(tmp_path, column, values, said, parquet=True).frame[column.lower()].to_list() == [None, 5]


def test_another_name_and_a_file_format_go_together(tmp_path: Path) -> None:
    names = declared(
        tmp_path, "orders: {amount: {column: Betrag, decimal: ','}, file: {encoding: cp1252, separator: ';'}}"
    )
    path = tmp_path / "orders.csv"
    path.write_bytes("ORDER_ID;PLACED_AT;Betrag;GIFT;Größe\n1;2026-05-01;1,5;0;ü".encode("cp1252"))
    inspected = inspection.inspect(ORDERS, [path], names, {})
    assert inspected.problems == () and inspected.schema.undeclared == ("Größe",)
    assert read_batch(ORDERS, inspected, names, {}, NOW).frame["amount"].to_list() == [1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("orders: {placed_at: {format: DD/MM/YYYY}}", r"orders.placed_at.format: expected year, month and day.*'DD/MM"),
        ("orders: {placed_at: {format: '%d/%m'}}", "expected year, month and day"),
        ("orders: {placed_at: {format: '%d/%m/%Y %I:%M'}}", "a time of day that is known"),
        ("orders: {placed_at: {format: '%Y-%m-%d %Z'}}", "expected year, month and day"),
        ("orders: {placed_at: {format: []}}", "expected a text or a list of texts"),
        ("orders: {placed_at: {timezone: Mars}}", "IANA zone"),
        ("orders: {placed_at: {decimal: ','}}", r"expected, for a timestamp, some of column, format, timezone, null"),
        ("orders: {amount: {decimal: x}}", "orders.amount.decimal: expected one of"),
        ("orders: {amount: {decimal: ',', thousands: ','}}", "expected two marks"),
        ("orders: {gift: {true: [y], false: [Y]}}", r"found y in both"),
        ("orders: {gift: {}}", "expected `column: column in the file`, or a mapping"),
        ("orders: {file: {encoding: klingon}}", "orders.file.encoding: expected a name such as cp1252"),
        ("orders: {file: {quotes: maybe}}", "expected `text` or `fields`"),
        ("orders: {file: {separator: '--'}}", "expected one character"),
        ("orders: {file: {separator: é}}", "expected one character of ASCII"),
        ("orders: {file: {separator: ''}}", "expected a text"),
        *(
            (f"orders: {{file: {{encoding: {name}}}}}", "expected a name such as cp1252")
            for name in ("idna", "punycode", "undefined", "unicode_escape", "rot13", "zip", "mbcs")
        ),
        *((f"timezone: {zone}", "IANA zone") for zone in ("posixrules", "Factory", "localtime", "'+02:00'", "../x")),
        ("[" * 20_000, "found lists in lists"),
        ("{a: " * 5_000, "found lists in lists"),
        ("orders: {file: {nonsense: 1}}", "expected a mapping with some of encoding, separator, quotes"),
        ("orders: {amount: A, amount: B}", "amount twice in the mapping of line 1"),
        ("orders: {amount: A}\norders: {gift: B}", "orders twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        declared(tmp_path, text)


amounts = st.integers(-(10**9), 10**9)


@given(
    cents=st.lists(amounts, min_size=1, max_size=6),
    marks=st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (",", ""), (".", "")]),
)
@with_examples(60)
def test_any_amount_is_read_back_in_any_declared_marks(
    tmp_path_factory: pytest.TempPathFactory, cents: list[int], marks: tuple[str, str]
) -> None:
    decimal, thousands = marks
    english = [f"{c / 100:,.2f}" for c in cents]
    texts = [t.replace(",", "#").replace(".", decimal).replace("#", thousands) for t in english]
    said = {"decimal": decimal, **({"thousands": thousands} if thousands else {})}
    listed = ", ".join(f'{key}: "{mark}"' for key, mark in said.items())
    batch = read(tmp_path_factory.getbasetemp(), "AMOUNT", texts, f"orders: {{amount: {{{listed}}}}}")
    assert batch.frame["amount"].to_list() == [float(t.replace(",", "")) for t in english]
