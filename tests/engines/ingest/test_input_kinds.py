"""Inputs of every kind through a whole load: the same rows, whatever file, type, folder or table they come in."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.identifier_files import NOON, WRITERS, parquet, table

from jobs.ingest import load as ingest
from jobs.ingest import parsing
from jobs.ingest.load_memory import LoadResult
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Column, Source, UseCase

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAYMENTS = Source(
    name="payments",
    key=("payment_id",),
    event_time="paid_at",
    columns=(
        Column("payment_id", "identifier"),
        Column("paid_at", "timestamp"),
        Column("amount", "number"),
        Column("customer_id", "identifier", nullable=True, optional=True),
    ),
)
REPORTS = Source(
    name="reports",
    key=("payment_id",),
    event_time="reported_at",
    known_at="reported_at",
    references={"payment_id": "payments.payment_id"},
    columns=(
        Column("payment_id", "identifier"),
        Column("fraud", "boolean"),
        Column("reported_at", "timestamp"),
    ),
)
USE_CASE = UseCase(
    name="till", description="", owners=(), sources=(PAYMENTS, REPORTS), first_day=NOON.date(), last_day=NOON.date(),
    events="e", labels="l", event_id="payment_id", event_timestamp="paid_at", entities=(), label="fraud",
    label_maturity=timedelta(3), windows=(), feature_service="till", training_window=timedelta(30),
)  # fmt: skip
# What a file is like does not depend on the engine.
pytestmark = pytest.mark.embedded


@dataclass
class Till:
    lakehouse: Lakehouse
    folder: Path
    use_case: UseCase

    def load(self, *paths: Path, source: Source = PAYMENTS) -> LoadResult:
        inputs = Inputs({source.input: tuple(map(str, paths))}, NOON.date(), NOON.date())
        return ingest.load(self.lakehouse, self.use_case, source, inputs, as_of=NOW, now=NOW)

    def ids(self, source: Source = PAYMENTS) -> list[Any]:
        return sorted(self.lakehouse.to_arrow(self.use_case.raw_table(source))["payment_id"].to_pylist())

    def rows(self) -> list[tuple[Any, ...]]:
        stored = pl.DataFrame(self.lakehouse.to_arrow(self.use_case.raw_table(PAYMENTS)))
        return sorted(stored.drop("loaded_in").rows(), key=repr)


@pytest.fixture
def till(lakehouse: Lakehouse, tmp_path: Path) -> Till:
    return new_till(lakehouse, tmp_path)


def new_till(lakehouse: Lakehouse, folder: Path) -> Till:
    return Till(lakehouse, folder, replace(USE_CASE, name=f"till_{uuid.uuid4().hex[:8]}"))


def reports(path: Path, ids: pa.Array | Sequence[Any]) -> Path:
    pq.write_table(pa.table({"PAYMENT_ID": ids, "FRAUD": [True] * len(ids), "REPORTED_AT": [NOON] * len(ids)}), path)
    return path


@given(
    loads=st.lists(
        st.tuples(st.sampled_from(sorted(WRITERS)), st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True)),
        min_size=1,
        max_size=4,
    )
)
@with_examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loads_of_any_types_end_in_the_same_rows(
    lakehouse: Lakehouse, tmp_path_factory: pytest.TempPathFactory, loads: list[tuple[str, list[int]]]
) -> None:
    till = new_till(lakehouse, tmp_path_factory.mktemp("till"))
    for number, (writer, ids) in enumerate(loads):
        result = till.load(WRITERS[writer](till.folder / f"{number}.parquet", ids))
        assert (dict(result.quarantined), result.rows_read) == ({}, len(ids))
    every = sorted({number for _, ids in loads for number in ids})
    plain = new_till(lakehouse, till.folder)
    plain.load(WRITERS["int64"](till.folder / "plain.parquet", every))
    assert till.rows() == plain.rows()


def test_integers_and_their_text_are_one_identifier_in_a_table_of_text(till: Till) -> None:
    till.load(parquet(till.folder / "a.parquet", table(["1", "A7", "007"])))
    result = till.load(parquet(till.folder / "b.parquet", table(pa.array([1, 7], pa.int32()))))
    assert (result.already_known, till.ids()) == (1, ["007", "1", "7", "A7"])
    result = till.load(reports(till.folder / "r.parquet", pa.array([7, 1], pa.uint64())), source=REPORTS)
    assert (result.appended, till.ids(REPORTS)) == (2, ["1", "7"])


def test_a_footer_in_the_first_file_refuses_no_later_file_of_integers(till: Till) -> None:
    path = till.folder / "a.csv"
    path.write_text("PAYMENT_ID,PAID_AT,AMOUNT\n1,2026-05-01 12:00:00,1.5\n2,2026-05-01 12:00:00,1.5\nTotal,,3.0\n")
    till.load(path)
    assert till.ids() == [1, 2]
    assert till.load(reports(till.folder / "r.parquet", [2]), source=REPORTS).appended == 1


def test_identifiers_beyond_64_bits_are_stored_and_referred_to_exactly(till: Till) -> None:
    large = pa.array([2**63, 2**64 - 1, 5], pa.uint64())
    till.load(parquet(till.folder / "a.parquet", table(large)))
    assert till.ids() == ["18446744073709551615", "5", "9223372036854775808"]
    assert till.load(reports(till.folder / "r.parquet", large), source=REPORTS).appended == 3


def test_a_file_of_other_identifiers_is_refused_with_one_of_them(till: Till) -> None:
    till.load(WRITERS["int64"](till.folder / "a.parquet", [1, 2]))
    with pytest.raises(InputError, match=r"payment_id: expected integer identifiers .*, found text such as 'A7'"):
        till.load(reports(till.folder / "r.parquet", ["A7", "A8"]), source=REPORTS)
    assert till.ids() == [1, 2]


def test_a_delta_table_is_loaded_as_it_is_and_again_when_it_has_moved_on(till: Till) -> None:
    lake = till.folder / "lake"
    write_deltalake(lake, table([1, 2, 3]))
    DeltaTable(lake).delete("PAYMENT_ID = 2")
    assert (till.load(lake).appended, till.ids()) == (2, [1, 3])
    assert till.load(lake).rows_read == 2
    write_deltalake(lake, table([4]), mode="append")
    assert (till.load(lake).appended, till.ids()) == (1, [1, 3, 4])
    assert till.load(Path(f"{lake}@0")).appended == 1
    assert till.ids() == [1, 2, 3, 4]


def test_folders_named_like_columns_fill_them(till: Till) -> None:
    for customer in (0, 1):
        (till.folder / "in" / f"CUSTOMER_ID={customer}").mkdir(parents=True)
        part = table([2 * customer, 2 * customer + 1])
        parquet(till.folder / "in" / f"CUSTOMER_ID={customer}" / "p.parquet", part)
    till.load(till.folder / "in")
    found = pl.DataFrame(till.lakehouse.to_arrow(till.use_case.raw_table(PAYMENTS)))
    assert sorted(found.select("payment_id", "customer_id").rows()) == [(0, 0), (1, 0), (2, 1), (3, 1)]


def test_parts_with_and_without_a_zone_and_a_csv_file_are_one_load(till: Till) -> None:
    naive = pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms"))
    parquet(till.folder / "a.parquet", table(pa.array([1.0])))
    parquet(till.folder / "b.parquet", table([2], PAID_AT=naive))
    (till.folder / "c.csv").write_text("PAYMENT_ID,PAID_AT,AMOUNT\n3,2026-05-01T14:00:00+02:00,1.5\n")
    till.load(till.folder)
    assert [row[:2] for row in till.rows()] == [(1, NOON), (2, NOON), (3, NOON)]


def test_a_table_made_before_identifiers_had_one_form_goes_on_as_it_is(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parquet(till.folder / "a.parquet", table(["C1  ", "C1", "42.0"]))
    with monkeypatch.context() as before:
        before.setattr(parsing, "canonical_identifiers", lambda values: values.cast(pl.String))
        till.load(first)
    result = till.load(parquet(till.folder / "b.parquet", table(["C1  ", "C1", "42.0", "C2 "])))
    assert (result.already_known, till.ids()) == (3, ["42.0", "C1", "C1  ", "C2 "])
    assert till.load(reports(till.folder / "r.parquet", ["C1  "]), source=REPORTS).appended == 1
    assert till.ids(REPORTS) == ["C1  "]
