"""What a row must hold to get into a raw table."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import REASONS, ContractBroken
from jobs.ingest.parsing import Batch, table_schema
from jobs.ingest.readers import FOUND
from jobs.use_case import Column, Source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOURCE = Source(
    name="orders",
    key=("order_id",),
    event_time="placed_at",
    latency=timedelta(hours=1),
    columns=(
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number", minimum=0, maximum=1e6),
        Column("gift", "boolean", nullable=True),
        Column("items", "integer", nullable=True, optional=True, minimum=1),
    ),
)
GOOD = {"ORDER_ID": "a1", "PLACED_AT": datetime(2026, 5, 1, 12, tzinfo=UTC), "AMOUNT": 3.5, "GIFT": True, "ITEMS": 2}


def batch(tmp_path: Path, *rows: Mapping[str, object], names: ColumnsFile = ColumnsFile(), csv: bool = False) -> Batch:  # noqa: B008
    frame = pl.DataFrame([{**GOOD, **row} for row in rows], infer_schema_length=None, strict=False)
    path = tmp_path / ("orders.csv" if csv else "orders.parquet")
    frame.write_csv(path) if csv else frame.write_parquet(path)
    return read(path, names)


def read(path: Path, names: ColumnsFile = ColumnsFile()) -> Batch:  # noqa: B008
    inspected = inspection.inspect(SOURCE, [path], names, {})
    assert inspected.problems == ()
    return read_batch(SOURCE, inspected, names, {}, NOW)


def judge(made: Batch, zone: str = "UTC") -> tuple[pl.DataFrame, list[list[str]]]:
    good, bad, _ = contracts.split(made.frame, contracts.row_checks(SOURCE, made.frame.columns, zone, NOW))
    return good, bad[REASONS].to_list()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AMOUNT": None}, "amount: missing"),
        ({"AMOUNT": math.nan}, "amount: NaN or infinite"),
        ({"AMOUNT": math.inf}, "amount: NaN or infinite"),
        ({"AMOUNT": -math.inf}, "amount: NaN or infinite"),
        ({"AMOUNT": -0.01}, "amount: below 0"),
        ({"AMOUNT": 1e6 + 1}, "amount: above 1e+06"),
        ({"ORDER_ID": None}, "order_id: missing"),
        ({"PLACED_AT": None}, "placed_at: missing"),
        ({"PLACED_AT": NOW + timedelta(microseconds=1)}, "placed_at: in the future"),
        ({"ITEMS": 0}, "items: below 1"),
    ],
)
def test_a_row_that_breaks_a_rule_is_told_apart_with_its_reason(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    good, reasons = judge(batch(tmp_path, {}, change, {}))
    assert good.height == 2
    assert reasons == [[reason]]


@pytest.mark.parametrize(
    "change", [{"GIFT": None}, {"ITEMS": None}, {"PLACED_AT": NOW}, {"AMOUNT": 0.0}, {"AMOUNT": 1e6}]
)
def test_values_on_the_edge_are_good(tmp_path: Path, change: dict[str, object]) -> None:
    good, reasons = judge(batch(tmp_path, {}, change))
    assert (good.height, reasons) == (2, [])


def test_all_reasons_of_a_row_are_told(tmp_path: Path) -> None:
    _, reasons = judge(batch(tmp_path, {}, {"AMOUNT": -1.0, "ORDER_ID": None}))
    assert reasons == [["order_id: missing", "amount: below 0"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AMOUNT": "12,50"}, "amount: no number"),
        ({"AMOUNT": "NaN"}, "amount: NaN or infinite"),
        ({"PLACED_AT": "01.05.2026"}, "placed_at: no timestamp"),
        ({"PLACED_AT": "2026-02-30 10:00:00"}, "placed_at: no timestamp"),
        ({"GIFT": "perhaps"}, "gift: no boolean"),
        ({"ITEMS": "2.5"}, "items: no integer"),
        ({"AMOUNT": ""}, "amount: missing"),
    ],
)
def test_a_csv_value_that_does_not_parse_costs_its_row_only(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    text = {k: str(v) for k, v in GOOD.items()} | {"PLACED_AT": "2026-05-01T12:00:00Z"}
    good, reasons = judge(batch(tmp_path, text, {**text, **change}, csv=True))
    assert good.height == 1
    assert reasons == [[reason]]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-05-01 12:00:00", "UTC", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01T12:00", "UTC", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01", "UTC", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01 12:00:00.25", "Europe/Berlin", datetime(2026, 5, 1, 10, 0, 0, 250000, tzinfo=UTC)),
        ("2026-05-01T12:00:00+05:30", "Europe/Berlin", datetime(2026, 5, 1, 6, 30, tzinfo=UTC)),
        ("2026-05-01 12:00:00Z", "Europe/Berlin", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01 12:00:00-0800", "UTC", datetime(2026, 5, 1, 20, tzinfo=UTC)),
        ("2026-05-01 12:00:00.5+02", "Asia/Tokyo", datetime(2026, 5, 1, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2026-05-01T12:00Z", "Asia/Tokyo", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        # The clock passes 02:30 twice on 2025-10-26: the first time counts.
        ("2025-10-26 02:30:00", "Europe/Berlin", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        # It never shows 02:30 on 2026-03-29.
        ("2026-03-29 02:30:00", "Europe/Berlin", None),
    ],
)
def test_times_are_read_in_the_zone_they_or_the_columns_file_say(
    tmp_path: Path, text: str, zone: str, expected: datetime | None
) -> None:
    row = {k: str(v) for k, v in GOOD.items()} | {"PLACED_AT": text}
    made = batch(tmp_path, row, names=ColumnsFile(zone), csv=True)
    assert made.frame["placed_at"].to_list() == [expected]
    assert made.zone_assumed == (None if text[-1] == "Z" or "+" in text or "-0800" in text else zone)
    if expected is None:
        assert judge(made, zone)[1] == [["placed_at: no timestamp that exists in Europe/Berlin"]]


def test_naive_parquet_times_are_read_in_the_declared_zone(tmp_path: Path) -> None:
    made = batch(tmp_path, {"PLACED_AT": datetime(2026, 1, 1, 12)}, names=ColumnsFile("Asia/Tokyo"))
    assert made.frame["placed_at"].to_list() == [datetime(2026, 1, 1, 3, tzinfo=UTC)]
    assert made.frame["known_at"].to_list() == [datetime(2026, 1, 1, 4, tzinfo=UTC)]
    assert made.zone_assumed == "Asia/Tokyo"


def test_a_csv_row_with_too_many_fields_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "ORDER_ID,PLACED_AT,AMOUNT,GIFT\n1,2026-05-01 12:00:00,12,50,1\n2,2026-05-01 12:00:00,12.5,1\n"
        "3,2026-05-01 12:00:00\n"
    )
    good, reasons = judge(read(path))
    assert good["amount"].to_list() == [12.5]
    assert [r[0] for r in reasons] == ["more fields than the header has columns", "amount: missing"]


@pytest.mark.parametrize("why", ["a name twice in one JSON object", "a tombstone, which has no value"])
def test_what_is_no_record_lacks_its_values_for_that_reason_alone(tmp_path: Path, why: str) -> None:
    frame = batch(tmp_path, {}, {}).frame
    values = [name for name in frame.columns if name.removeprefix(FOUND) in {c.name for c in SOURCE.columns}]
    is_second = pl.int_range(pl.len()) == 1
    frame = frame.with_columns(
        pl.when(~is_second).then(pl.col(values)), _malformed=pl.when(is_second).then(pl.lit(why))
    )
    good, bad, _ = contracts.split(frame, contracts.row_checks(SOURCE, frame.columns, "UTC", NOW))
    assert good.height == 1 and bad[REASONS].to_list() == [[why]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_and_any_case_of_names(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "orders.csv"
    lines = [["Order_Id", "placed_at", "AMOUNT", "gift"], ["7", "2026-05-01 12:00:00", "1.5", "false"]]
    path.write_text("\n".join(separator.join(line) for line in lines))
    made = read(path)
    assert made.frame.select("order_id", "amount", "gift", "items").rows() == [(7, 1.5, False, None)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(["1", "20", "-3"], "integer"), (["007", "8"], "string"), (["a", "1"], "string"), (["1", None], "integer")],
)
def test_identifiers_in_text_are_integers_only_if_nothing_is_lost(
    tmp_path: Path, ids: list[str | None], expected: str
) -> None:
    made = batch(tmp_path, *({"ORDER_ID": i} for i in ids), csv=True)
    assert made.schema.columns["order_id"] == expected


values = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1e6, -1e-9, 1e6 + 1e-6]))
times = st.one_of(st.none(), st.datetimes(datetime(2026, 5, 31), datetime(2026, 6, 2)))


@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=3)), times, values, st.integers(-2, 3)), min_size=1)
)
@with_examples(30)
def test_good_rows_hold_the_pandera_contract_and_bad_ones_do_not(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, datetime | None, float | None, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "hypothesis.parquet"
    pl.DataFrame(
        rows, schema={"ORDER_ID": pl.String, "PLACED_AT": pl.Datetime("us"), "AMOUNT": pl.Float64, "ITEMS": pl.Int32},
        orient="row",
    ).with_columns(GIFT=pl.lit(1)).write_parquet(path)  # fmt: skip
    made = read(path)
    checks = contracts.row_checks(SOURCE, made.frame.columns, "UTC", NOW)
    good, bad, tally = contracts.split(made.frame, checks)
    assert good.height + bad.height == len(rows)
    assert sum(tally.values()) >= bad.height
    names = [c.name for c in SOURCE.columns] + ["known_at"]
    contracts.prove(SOURCE, good.select(names).unique(["order_id", "known_at"]), made.schema.columns)
    for row in bad.iter_slices(1):
        if row["placed_at"].item() is None or row["placed_at"].item() <= NOW:
            with pytest.raises(ContractBroken):
                contracts.prove(SOURCE, row.select(names), made.schema.columns)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AMOUNT": -math.inf}, "amount: NaN or infinite"),
        ({"AMOUNT": -0.01}, "amount: below 0"),
        ({"AMOUNT": 1e6 + 1}, "amount: above 1e+06"),
        ({"ITEMS": 0}, "items: below 1"),
    ],
)
def test_contract_and_quarantine_refuse_a_row_in_the_same_words(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    made = batch(tmp_path, change)
    assert judge(made)[1] == [[reason]]
    rows = made.frame.select(*(c.name for c in SOURCE.columns), "known_at")
    with pytest.raises(ContractBroken, match=re.escape(reason)):
        contracts.prove(SOURCE, rows, {"order_id": "string"})


def test_the_contract_refuses_one_key_twice_at_one_moment(tmp_path: Path) -> None:
    made = batch(tmp_path, {}, {"AMOUNT": 4.0})
    rows = made.frame.select(*(c.name for c in SOURCE.columns), "known_at")
    with pytest.raises(ContractBroken, match="orders: expected 2 rows"):
        contracts.prove(SOURCE, rows, {"order_id": "string"})


def test_tables_have_the_declared_columns_and_three_more() -> None:
    assert table_schema(SOURCE, {"order_id": "string"}).names == [
        "order_id", "placed_at", "amount", "gift", "items", "known_at", "event_date", "loaded_in",
    ]  # fmt: skip


def test_found_values_stay_beside_those_that_do_not_parse(tmp_path: Path) -> None:
    text = {k: str(v) for k, v in GOOD.items()} | {"PLACED_AT": "2026-05-01T12:00:00Z", "AMOUNT": "12,50"}
    assert batch(tmp_path, text, csv=True).frame[FOUND + "amount"].to_list() == ["12,50"]
