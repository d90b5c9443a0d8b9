"""Rows of files as the tables hold them: the same, in whatever type, format and parts they come."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.identifier_files import NOON, WRITERS, csv, parquet, table

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import REASONS
from jobs.ingest.input_files import find_files
from jobs.ingest.parsing import Batch
from jobs.use_case import Column, Source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAYMENTS = Source(
    name="payments",
    key=("payment_id",),
    event_time="paid_at",
    columns=(
        Column("payment_id", "identifier"),
        Column("paid_at", "timestamp"),
        Column("amount", "number"),
        Column("place", "string", nullable=True, optional=True),
    ),
)
NAMES = ["payment_id", "paid_at", "amount", "place"]


def read(*paths: Path, expected: str | None = None, zone: str = "UTC") -> Batch:
    names = ColumnsFile(zone)
    identifiers = {"payment_id": expected} if expected else {}
    inspected = inspection.inspect(PAYMENTS, find_files(paths), names, identifiers)
    assert inspected.problems == ()
    return read_batch(PAYMENTS, inspected, names, identifiers, NOW)


def judged(batch: Batch) -> tuple[pl.DataFrame, list[str]]:
    checks = contracts.row_checks(PAYMENTS, batch.frame.columns, "UTC", NOW)
    good, bad, _ = contracts.split(batch.frame, checks)
    return good.select(NAMES), bad[REASONS].list.join("; ").to_list()


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("expected", [None, "integer", "string"])
def test_the_same_identifiers_are_the_same_rows_in_every_type(
    tmp_path: Path, writer: str, expected: str | None
) -> None:
    ids = [0, 7, 42, 100]
    good, reasons = judged(read(WRITERS[writer](tmp_path / "p.parquet", ids), expected=expected))
    assert reasons == []
    assert good["payment_id"].to_list() == ([str(i) for i in ids] if expected == "string" else ids)


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(sorted(WRITERS)), st.lists(st.integers(0, 100), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    ),
    with_text=st.booleans(),
)
@with_examples(40)
def test_parts_of_any_types_are_read_as_they_are_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, list[int]]], with_text: bool
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    paths = [WRITERS[name](folder / f"{n}.parquet", ids) for n, (name, ids) in enumerate(parts)]
    paths += [csv(folder / "z.csv", ["A7"])] if with_text else []
    together = read(folder)
    kind = "string" if with_text else "integer"
    assert together.schema.columns["payment_id"] == kind
    alone = [judged(read(path, expected=kind)) for path in paths]
    assert judged(together)[0].rows() == [row for good, _ in alone for row in good.rows()]
    assert judged(together)[1] == []


LARGE = [2**53 - 1, 2**53 + 1, 2**63 - 1]


@pytest.mark.parametrize("writer", ["int64", "uint64", "decimal38", "decimal256", "string", "dictionary", "csv"])
def test_large_integers_are_exact(tmp_path: Path, writer: str) -> None:
    good, reasons = judged(read(WRITERS[writer](tmp_path / "p.parquet", LARGE)))
    assert (good["payment_id"].to_list(), reasons) == (LARGE, [])


@pytest.mark.parametrize("writer", ["uint64", "decimal38", "decimal256", "string", "csv", "padded csv"])
def test_integers_beyond_64_bits_are_exact_text(tmp_path: Path, writer: str) -> None:
    ids = [1, 2**63, 2**64 - 1]
    good, reasons = judged(read(WRITERS[writer](tmp_path / "p.parquet", ids)))
    assert (good["payment_id"].to_list(), reasons) == ([str(i) for i in ids], [])


def test_integers_beyond_64_bits_are_refused_by_name_where_the_table_holds_integers(tmp_path: Path) -> None:
    path = WRITERS["uint64"](tmp_path / "p.parquet", [1, 2**63])
    good, reasons = judged(read(path, expected="integer"))
    assert good["payment_id"].to_list() == [1]
    assert reasons == ["payment_id: no identifier (longer than the integers of 64 bits that the table holds)"]


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (pa.array([1.0, 2.0**53], pa.float64()), "a number too large to be exact"),
        (pa.array([1.0, 2.0**24], pa.float32()), "a number too large to be exact"),
        (pa.array([1.0, float("inf")], pa.float64()), "a number too large to be exact"),
        (pa.array(["1", "9007199254740992.0"]), "a number too large to be exact"),
        (pa.array(["1", "1.23457E+15"]), "a number too large to be exact"),
        (pa.array([1.0, 2.5], pa.float64()), "a number with a fraction"),
        (pa.array([Decimal("1.00"), Decimal("2.50")]), "a number with a fraction"),
    ],
)
def test_an_inexact_number_is_refused_by_name(tmp_path: Path, ids: pa.Array, reason: str) -> None:
    good, reasons = judged(read(parquet(tmp_path / "p.parquet", table(ids))))
    assert good["payment_id"].to_list() == [1]
    assert [r.startswith(f"payment_id: no identifier ({reason}") for r in reasons] == [True]


@pytest.mark.parametrize("text", ["042", "A7", "-0", "+5", "1_000", "1,5", "٤٢"])
def test_other_text_is_no_integer(tmp_path: Path, text: str) -> None:
    path = parquet(tmp_path / "p.parquet", table(["1", text]))
    assert judged(read(path))[0]["payment_id"].to_list() == ["1", text]
    good, reasons = judged(read(path, expected="integer"))
    assert good["payment_id"].to_list() == [1]
    assert reasons == ["payment_id: no identifier (other text, and the table holds integers)"]


@pytest.mark.parametrize("word", ["", "  ", "NULL", "null", "None", "NaN", "nan", "N/A", "<NA>", "\\N", " NULL "])
@pytest.mark.parametrize("others", [["1", "2"], ["A1", "A2"]])
def test_a_word_for_nothing_is_no_identifier_and_decides_nothing(tmp_path: Path, word: str, others: list[str]) -> None:
    for path in (csv(tmp_path / "p.csv", [*others, word]), parquet(tmp_path / "p.parquet", table([*others, word]))):
        good, reasons = judged(read(path))
        assert list(map(str, good["payment_id"])) == others
        assert reasons == ["payment_id: missing"]


def test_numbers_beside_a_nan_are_the_same(tmp_path: Path) -> None:
    good, reasons = judged(read(parquet(tmp_path / "p.parquet", table(pa.array([1.0, float("nan"), None])))))
    assert (good["payment_id"].to_list(), reasons) == ([1], ["payment_id: missing"] * 2)


@pytest.mark.parametrize("writer", ["csv", "parquet"])
def test_blanks_around_and_the_form_of_letters_make_no_other_identifier(tmp_path: Path, writer: str) -> None:
    ids = ["Müller", "Mu\u0308ller", "Müller  ", "\u00a0Müller", "\ufeffMüller", "Müller\u200b"]
    path = tmp_path / f"p.{writer}"
    csv(path, ids) if writer == "csv" else parquet(path, table(ids))
    assert set(judged(read(path))[0]["payment_id"]) == {"Müller"}


def test_a_uuid_is_the_same_in_text_and_in_bytes(tmp_path: Path) -> None:
    made = [uuid.UUID(int=n * 2**100 + 10) for n in range(1, 4)]
    raw = [u.bytes for u in made]
    columns = [
        pa.array(raw, pa.binary(16)), pa.array(raw, pa.uuid()), pa.array([str(u) for u in made]),
        pa.array([str(u).upper() for u in made]), pa.array(raw, pa.binary(16)).dictionary_encode(),
    ]  # fmt: skip
    for number, ids in enumerate(columns):
        parquet(tmp_path / f"{number}.parquet", table(ids))
    csv(tmp_path / "z.csv", [str(u) for u in made])
    assert judged(read(tmp_path))[0]["payment_id"].to_list() == [str(u) for u in made] * 6


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([True, False]), pa.array([b"\xff\xfe", b"a"]), pa.array([b"abcd", b"abce"], pa.binary(4)),
        pa.array([NOON, NOON]), pa.array([[1], [2]]), pa.array([timedelta(1), timedelta(2)]),
    ],
)  # fmt: skip
def test_what_can_be_no_identifier_is_refused_by_its_type(tmp_path: Path, ids: pa.Array) -> None:
    path = parquet(tmp_path / "p.parquet", table(ids))
    problems = inspection.inspect(PAYMENTS, [path], ColumnsFile(), {}).problems
    assert len(problems) == 1
    assert "payments.payment_id: expected identifier, found" in problems[0]


def test_a_footer_has_no_say_in_what_identifiers_are(tmp_path: Path) -> None:
    path = csv(tmp_path / "p.csv", ["1", "2"])
    path.write_text(path.read_text() + "Total,,3.0\n")
    batch = read(path)
    assert batch.schema.columns["payment_id"] == "integer"
    good, reasons = judged(batch)
    assert good["payment_id"].to_list() == [1, 2]
    assert reasons == ["payment_id: no identifier (other text, and the table holds integers); paid_at: missing"]


def test_one_good_row_of_text_makes_all_of_them_text(tmp_path: Path) -> None:
    assert judged(read(csv(tmp_path / "p.csv", ["1", "007"])))[0]["payment_id"].to_list() == ["1", "007"]


def times(path: Path, values: pa.Array) -> Path:
    return parquet(path, table([1], PAID_AT=values))


def test_parts_in_different_zones_and_units_are_read_each_in_its_own(tmp_path: Path) -> None:
    naive = datetime(2026, 5, 1, 12)
    times(tmp_path / "a.parquet", pa.array([NOON], pa.timestamp("us", "UTC")))
    times(tmp_path / "b.parquet", pa.array([naive], pa.timestamp("us")))
    times(tmp_path / "c.parquet", pa.array([NOON], pa.timestamp("ns", "America/New_York")))
    times(tmp_path / "d.parquet", pa.array([naive.date()], pa.date32()))
    csv(tmp_path / "e.csv", ["1"], time="2026-05-01T12:00:00+02:00")
    assert read(tmp_path, zone="Asia/Tokyo").frame["paid_at"].to_list() == [
        NOON, NOON - timedelta(hours=9), NOON, NOON - timedelta(hours=21), NOON - timedelta(hours=2),
    ]  # fmt: skip


def test_text_in_parquet_and_csv_is_read_alike(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", table(["1"], PAID_AT=["2026-05-01 12:00"], AMOUNT=["1.5"]))
    csv(tmp_path / "b.csv", ["1"])
    assert read(tmp_path).frame.select("payment_id", "paid_at", "amount").rows() == [(1, NOON, 1.5)] * 2


def test_parts_may_differ_in_widths_scales_order_and_empty_columns(tmp_path: Path) -> None:
    parts = [
        table([1], AMOUNT=pa.array([Decimal("1.50")]), PLACE=pa.array(["here"]).dictionary_encode()),
        table([2], AMOUNT=pa.array([Decimal("1.5000")]), PLACE=pa.array([None])).select([3, 2, 0, 1]),
        table([3], AMOUNT=pa.array([3], pa.int8()), PLACE=pa.array([None], pa.float64())),
        table([4], AMOUNT=pa.array([1.5], pa.float32())),
        table([5], AMOUNT=pa.array([None], pa.string()), PLACE=pa.array([None], pa.list_(pa.int8()))),
    ]
    for number, part in enumerate(parts):
        parquet(tmp_path / f"{number}.parquet", part)
    assert read(tmp_path).frame.select("payment_id", "amount", "place").rows() == [
        (1, 1.5, "here"), (2, 1.5, None), (3, 3.0, None), (4, 1.5, None), (5, None, None),
    ]  # fmt: skip


def test_columns_nobody_declared_may_be_of_any_type(tmp_path: Path) -> None:
    odd = pa.array([Decimal(10**50)], pa.decimal256(60, 0))
    assert judged(read(parquet(tmp_path / "p.parquet", table([1], ODD=odd, MAP=pa.array([{"a": 1}])))))[1] == []
