"""Files that cannot be used, schemas that changed, loads killed or run twice: nothing lost or half-written."""

import json
import math
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from worlds.draws import drawn

from jobs.ingest import contracts, registration
from jobs.ingest import load as ingest
from jobs.ingest.load_memory import LoadResult
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.ingest.schemas import SchemaChanged
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import ROOT
from jobs.use_case import Column, Source, UseCase

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
# What a file is like does not depend on the engine.
pytestmark = pytest.mark.embedded
METERS = Source(
    name="readings",
    option="file",
    key=("reading_id",),
    event_time="read_at",
    columns=(
        Column("reading_id", "identifier"),
        Column("read_at", "timestamp"),
        Column("value", "number"),
        Column("unit", "string", nullable=True, optional=True),
    ),
)
USE_CASE = UseCase(
    name="meters", description="", owners=(), sources=(METERS,), first_day=START.date(), last_day=START.date(),
    events="e", labels="l", event_id="reading_id", event_timestamp="read_at", entities=(), label="x",
    label_maturity=DAY, windows=(), feature_service="meters", training_window=DAY,
)  # fmt: skip
NAMES = [c.name for c in METERS.columns]


@pytest.fixture
def use_case() -> UseCase:
    return replace(USE_CASE, name=f"meters_{uuid.uuid4().hex[:8]}")


def readings(count: int = 5, **columns: Sequence[object]) -> pl.DataFrame:
    made: Mapping[str, Any] = {
        "READING_ID": range(count),
        "READ_AT": [START + n * DAY for n in range(count)],
        "VALUE": [float(n) for n in range(count)],
    }
    return pl.DataFrame({**made, **columns}, strict=False)


def load(lakehouse: Lakehouse, use_case: UseCase, path: Path, columns: Mapping[str, Any] | None = None) -> LoadResult:
    inputs = Inputs({"file": (str(path),)}, START.date(), START.date(), columns or {})
    return ingest.load(lakehouse, use_case, METERS, inputs, as_of=NOW, now=NOW)


def raw(lakehouse: Lakehouse, use_case: UseCase) -> list[tuple[Any, ...]]:
    table = use_case.raw_table(METERS)
    if not lakehouse.exists(table):
        return []
    return sorted(
        pl.DataFrame(lakehouse.to_arrow(table)).select(*NAMES, "known_at", "event_date", "loaded_in").rows(), key=repr
    )


def quarantine(lakehouse: Lakehouse, use_case: UseCase) -> list[tuple[Any, ...]]:
    table = f"{use_case.raw_table(METERS)}_quarantine"
    if not lakehouse.exists(table):
        return []
    return sorted(pl.DataFrame(lakehouse.to_arrow(table)).rows(), key=repr)


def parquet(path: Path, frame: pl.DataFrame) -> Path:
    frame.write_parquet(path)
    return path


def truncated(path: Path) -> None:
    parquet(path, readings(1000))
    path.write_bytes(path.read_bytes()[:-100])


def damaged(path: Path) -> None:
    parquet(path, readings(1000))
    content = bytearray(path.read_bytes())
    content[50 : len(content) // 2] = os.urandom(len(content) // 2 - 50)
    path.write_bytes(content)


def no_csv(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00R\x00E\xd8" * 100)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("f.parquet", truncated, "expected a parquet file, found a truncated or damaged one"),
        ("f.parquet", damaged, "damaged"),
        ("f.parquet", lambda p: p.write_text("READING_ID,READ_AT\n1,2\n"), "found no parquet file"),
        ("f.parquet", lambda p: p.touch(), "found an empty file"),
        ("f.parquet", lambda p: None, "found nothing there; check the path"),
        ("f.parquet", lambda p: p.mkdir(), "expected parquet, CSV or JSON Lines files in this folder, found none"),
        ("f.parquet", lambda p: parquet(p, readings(0)), "expected rows of readings, found none"),
        ("f.csv", lambda p: p.write_text("READING_ID,READ_AT,VALUE\n"), "expected rows of readings, found none"),
        ("f.csv", no_csv, "expected"),
        ("f.csv", lambda p: p.write_text("A,A\n1,2\n"), "expected a header of distinct column names"),
        ("f.xlsx", lambda p: p.write_text("x"), "expected a file that ends in .parquet, .csv or .jsonl"),
        (
            "f.parquet",
            lambda p: parquet(p, readings().drop("VALUE")),
            "readings.value: expected one column VALUE, found .*`readings: {value: NAME IN THE FILE}`",
        ),
        (
            "f.parquet",
            lambda p: parquet(p, readings().rename({"VALUE": "KWH"})),
            'readings.value: expected one column VALUE, found .*`readings: {value: "KWH"}`',
        ),
        (
            "f.parquet",
            lambda p: parquet(p, readings().rename({"VALUE": "VALEU"}).with_columns(NOTE=pl.lit("a"))),
            'readings.value: expected one column VALUE, found .*`readings: {value: "VALEU"}`',
        ),
        (
            "f.parquet",
            lambda p: parquet(p, readings(READ_AT=[1, 2, 3, 4, 5])),
            "readings.read_at: expected timestamp, found Int64; convert it",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_writes_nothing(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path, name: str, make: Any, message: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        load(lakehouse, use_case, path)
    assert str(path) in str(caught.value)
    assert not lakehouse.exists(use_case.raw_table(METERS))


def test_a_file_without_one_valid_row_is_refused_after_its_rows_are_kept(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    path = parquet(tmp_path / "f.parquet", readings(3, VALUE=[math.nan, math.inf, None]))
    for _ in range(2):
        with pytest.raises(InputError, match=r"none among 3: .*NaN or infinite \(2 rows\)"):
            load(lakehouse, use_case, path)
    assert not lakehouse.exists(use_case.raw_table(METERS))
    assert len(quarantine(lakehouse, use_case)) == 3


def test_hostile_rows_are_quarantined_as_found_and_the_others_go_in(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    far = datetime(2917, 1, 1, tzinfo=UTC)
    frame = readings(
        8,
        READING_ID=[0, 1, 2, 3, 4, 5, 5, None],
        READ_AT=[START, START, far, START, START, START, START, START],
        VALUE=[0.0, math.nan, 1.0, math.inf, None, 5.0, 6.0, 7.0],
    )
    result = load(lakehouse, use_case, parquet(tmp_path / "f.parquet", frame))
    assert [r[0] for r in raw(lakehouse, use_case)] == [0, 5]
    kept = {json.loads(r[0])["reading_id"]: (r[1], json.loads(r[0])["value"]) for r in quarantine(lakehouse, use_case)}
    assert kept == {
        "1": ("value: NaN or infinite", "NaN"),
        "2": ("read_at: in the future", "1.0"),
        "3": ("value: NaN or infinite", "inf"),
        "4": ("value: missing", None),
        "5": ("duplicate key with different content", "6.0"),
        None: ("reading_id: missing", "7.0"),
    }
    assert result.rows_read == result.appended + sum(result.quarantined.values()) == 8


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "expected `timezone` to be an IANA zone"),
        ({"payments": {"value": "v"}}, "expected `timezone` or one of the sources"),
        ({"readings": {"valeu": "v"}}, r"expected columns among .*found valeu"),
        ({"readings": ["value"]}, "expected `column: column in the file`"),
        ({"readings": {"value": "nowhere"}}, "expected one column nowhere, found"),
    ],
)
def test_a_wrong_columns_file_says_what_is_wrong(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = parquet(tmp_path / "f.parquet", readings())
    with pytest.raises(InputError, match=message):
        load(lakehouse, use_case, path, columns)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "\x00"])
def test_a_columns_file_that_is_no_mapping_is_refused(use_case: UseCase, tmp_path: Path, content: str) -> None:
    columns = tmp_path / "columns.yaml"
    columns.write_text(content)
    with pytest.raises(InputError, match=r"columns file .*expected a"):
        registration.describe(use_case, {"file": [parquet(tmp_path / "f.parquet", readings())]}, columns)


def test_describe_finds_the_days_of_valid_events(use_case: UseCase, tmp_path: Path) -> None:
    frame = readings(4, READ_AT=[START, START + DAY, NOW + DAY, START + 3 * DAY], VALUE=[1, 2, 3, math.nan])
    found = registration.describe(use_case, {"file": [parquet(tmp_path / "f.parquet", frame)]}, None, NOW)
    assert (found.first_day, found.last_day) == (START.date(), (START + DAY).date())
    assert found.end == START + 2 * DAY


CHANGES = [
    (readings(6).with_columns(EXTRA=pl.lit(1)), "column EXTRA: expected no such column, found a new one", True),
    (readings(6).with_columns(UNIT=pl.lit("kWh")), r"column unit \(UNIT in the file\): expected no such column", True),
    (readings(6).with_columns(pl.col("VALUE").cast(pl.String)), r"column value .*expected number, found string", True),
    (readings(6).drop("VALUE"), r"column value \(VALUE in the file\): expected number, found no such column", False),
    (readings(6).with_columns(pl.col("READ_AT").to_physical()), r"column read_at .*timestamp, found Int64", False),
    (readings(6).with_columns(pl.format("r{}", "READING_ID").alias("READING_ID")), "integer, found string", False),
]


@pytest.mark.parametrize(("changed", "message", "works"), CHANGES)
def test_a_changed_schema_stops_the_load_until_it_is_accepted(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path, changed: pl.DataFrame, message: str, works: bool
) -> None:
    load(lakehouse, use_case, parquet(tmp_path / "first.parquet", readings()))
    before = raw(lakehouse, use_case)
    path = parquet(tmp_path / "second.parquet", changed)
    for _ in range(2):
        with pytest.raises(SchemaChanged, match=message) as caught:
            load(lakehouse, use_case, path)
    assert f"evergreen schema accept readings --use-case {use_case.name}" in str(caught.value)
    assert raw(lakehouse, use_case) == before
    if works:
        assert "accepted" in contracts.accept(lakehouse.settings, use_case, METERS)[0]
        load(lakehouse, use_case, path)
        assert sorted({r[0] for r in raw(lakehouse, use_case)}) == list(range(6))
    else:
        with pytest.raises(InputError, match="cannot be accepted"):
            contracts.accept(lakehouse.settings, use_case, METERS)
        assert load(lakehouse, use_case, parquet(tmp_path / "third.parquet", readings(7))).appended == 2


def test_accepting_when_nothing_changed_says_so(lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path) -> None:
    load(lakehouse, use_case, parquet(tmp_path / "first.parquet", readings()))
    assert contracts.accept(lakehouse.settings, use_case, METERS) == [
        "readings: no changed schema waits to be accepted"
    ]


def test_other_integer_widths_and_an_undeclared_column_gone_are_no_change(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    load(lakehouse, use_case, parquet(tmp_path / "a.parquet", readings().with_columns(EXTRA=pl.lit(1))))
    other = readings(6).with_columns(pl.col("READING_ID").cast(pl.Int16), pl.col("VALUE").cast(pl.Float32))
    assert load(lakehouse, use_case, parquet(tmp_path / "b.parquet", other)).appended == 1


def test_files_of_different_schemas_in_one_load_are_refused(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    parquet(tmp_path / "a.parquet", readings())
    parquet(tmp_path / "b.parquet", readings().with_columns(pl.col("VALUE").cast(pl.String)))
    with pytest.raises(InputError, match=r"value: expected one type .*number in .*a.parquet, string in .*one by one"):
        load(lakehouse, use_case, tmp_path)
    assert raw(lakehouse, use_case) == []


def test_files_of_one_load_may_lack_what_is_optional_or_left_out(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    parquet(tmp_path / "a.parquet", readings(2).with_columns(EXTRA=pl.lit(1)))
    parquet(tmp_path / "b.parquet", readings(4).tail(2).with_columns(UNIT=pl.lit("kWh")))
    result = load(lakehouse, use_case, tmp_path)
    assert result.undeclared == ("EXTRA",)
    assert [(r[0], r[3]) for r in raw(lakehouse, use_case)] == [(0, None), (1, None), (2, "kWh"), (3, "kWh")]


CHILD = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from jobs import settings
from jobs.ingest import load_memory as loads, quarantine, raw_table as stored, schemas
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.tables import Lakehouse
import dataclasses, importlib.util
home, warehouse, name, path, test, point = sys.argv[1:]
sys.path.append(str(Path(test).parents[2]))
spec = importlib.util.spec_from_file_location("given", test)
given = importlib.util.module_from_spec(spec)
sys.modules["given"] = given
spec.loader.exec_module(given)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
POINTS = {
    "schema": (schemas, "record"), "quarantine": (quarantine, "append"), "write": (Lakehouse, "write"),
    "digests": (stored.Table, "keep"), "memory": (loads.Memory, "remember"),
}
if point:
    when, what = point.split()
    owner, function = POINTS[what]
    original = getattr(owner, function)
    def deadly(*args, **kwargs):
        if when == "before":
            die()
        original(*args, **kwargs)
        die()
    setattr(owner, function, deadly)
lakehouse = Lakehouse(settings.load({"EVERGREEN_HOME": home, "EVERGREEN_WAREHOUSE": warehouse}))
use_case = dataclasses.replace(given.USE_CASE, name=name)
print(given.load(lakehouse, use_case, Path(path)).appended)
sys.stdout.flush()
os._exit(0)
"""


def child(lakehouse: Lakehouse, use_case: UseCase, path: Path, point: str = "") -> "subprocess.Popen[str]":
    """A process that loads a file, and kills itself before or after a step."""
    arguments = [str(lakehouse.settings.home), lakehouse.warehouse, use_case.name, str(path), __file__, point]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


POINTS = [
    f"{when} {what}" for what in ("quarantine", "write", "digests", "schema", "memory") for when in ("before", "after")
]


def test_killed_anywhere_and_run_again_ends_like_a_clean_run(
    lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path
) -> None:
    lakehouse.spark.sql("select 1").collect()
    frame = readings(40, VALUE=[math.nan if n % 7 == 0 else float(n) for n in range(40)])
    path = parquet(tmp_path / "f.parquet", frame)
    clean = replace(use_case, name=f"{use_case.name}_clean")
    load(lakehouse, clean, path)
    # Two at a time: most of it is waiting for imports.
    points = drawn("load").sample(POINTS, 6)
    for pair in zip(points[::2], points[1::2], strict=True):
        cases = {point: replace(use_case, name=f"{use_case.name}_{point.replace(' ', '_')}") for point in pair}
        killed = {point: child(lakehouse, case, path, point) for point, case in cases.items()}
        for point, process in killed.items():
            _, errors = process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL, errors
            load(lakehouse, cases[point], path)
            assert raw(lakehouse, cases[point]) == raw(lakehouse, clean), point
            assert quarantine(lakehouse, cases[point]) == quarantine(lakehouse, clean), point
            assert load(lakehouse, cases[point], path).appended == 0


def test_two_loads_at_once_double_nothing(lakehouse: Lakehouse, use_case: UseCase, tmp_path: Path) -> None:
    lakehouse.spark.sql("select 1").collect()
    path = parquet(tmp_path / "f.parquet", readings(20, VALUE=[math.nan, *map(float, range(19))]))
    processes = [child(lakehouse, use_case, path) for _ in range(2)]
    appended = []
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        appended.append(int(output))
    assert sorted(appended) == [0, 19]
    assert sorted(r[0] for r in raw(lakehouse, use_case)) == list(range(1, 20))
    assert len(quarantine(lakehouse, use_case)) == 1
