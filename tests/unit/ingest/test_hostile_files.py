"""Files that people deliver by accident: every record is counted, or the file is refused in words; nothing else."""

import errno
import gzip
import json
import lzma
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs import settings
from jobs.ingest.check import Check, check_files
from jobs.ingest.json_objects import NO_OBJECT
from jobs.use_cases.fraud import FRAUD

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT")
NOON = datetime(2026, 5, 1, 12)
IDS = [2**53 + n for n in range(4)]


def lines(*rows: str, head: str = ",".join(NAMES)) -> str:
    return "\n".join([head, *rows]) + "\n"


def row(number: object, time: str = "2026-05-01 10:00:00", customer: str = "1", amount: str = "1.5") -> str:
    return f"{number},{time},{customer},1,{amount}"


def record(**values: object) -> str:
    return json.dumps({**dict(zip(NAMES, (1, "2026-05-01 10:00:00", 1, 1, 1.5), strict=True)), **values})


GOOD = lines(*(row(n, customer="é") for n in IDS))
REFUSED = None
FILES: Mapping[str, tuple[str | bytes, int | None]] = {
    "bom.csv": (GOOD.encode("utf-8-sig"), 4),
    "utf-16.csv": (GOOD.encode("utf-16"), 4),
    "utf-32.csv": (GOOD.encode("utf-32"), 4),
    "latin.csv": (GOOD.encode("latin-1"), REFUSED),
    "utf-16-le.csv": (GOOD.encode("utf-16-le"), REFUSED),
    "blank.csv": ("\n\n", REFUSED),
    "header.csv": (lines(), REFUSED),
    "nul.csv": (lines(row("1\0")), REFUSED),
    "crlf.csv": (GOOD.replace("\n", "\r\n"), 4),
    "cr.csv": (GOOD.replace("\n", "\r"), 4),
    "mixed.csv": (GOOD.replace("\n", "\r\n", 2), 4),
    "blank lines.csv": (GOOD.replace("\n", "\n\n"), 4),
    "end of file.csv": (lines(row(1)) + "\x1a", 2),
    "twice.csv": (GOOD.replace("TERMINAL", "CUSTOMER"), REFUSED),
    "trailing.csv": (GOOD.replace("\n", ",\n"), 4),
    "our names.csv": (
        lines(
            *(row(n) + ",7,8,9,1,2" for n in IDS),
            head=",".join([*NAMES, "_line", "_malformed", "_row", "text", "found:tx_amount"]),
        ),
        4,
    ),
    "short.csv": (lines(row(1), "2,2026-05-01"), 2),
    "long.csv": (lines(row(1), row(2) + ",x"), 2),
    "quotes.csv": (lines(row(1, customer='"a""b"'), row(2, customer='a"b'), row(3, customer='"a"b')), 3),
    "two lines.csv": (lines(row(1, customer='"a\nb"'), row(2)), 2),
    "stray.csv": (lines(row(1), row(2, customer='"x'), row(3)), REFUSED),
    "extreme.csv": (
        lines(
            row(1),
            *(
                row(n, time=t)
                for n, t in enumerate((str(2**63 - 1), str(-(2**63)), "1e300", "0001-01-01", "9999-12-31"))
            ),
        ),
        6,
    ),
    "separators.csv": (lines(*(row(n, customer=f"a{c}b") for n, c in enumerate("\x0c\x1c\x85\u2028"))), 4),
    "two parts.csv.gz": (gzip.compress(GOOD.encode()) + gzip.compress(row(9).encode()), 5),
    "cut.csv.gz": (gzip.compress(GOOD.encode())[:-9], REFUSED),
    "cr in a field.csv": (lines(row(1), row(2, customer="a\rb")), REFUSED),
    "long field.csv": (lines(row(1, customer='"a""b"' + "x" * 200_000)), 1),
    "packed.csv.xz": (lzma.compress(GOOD.encode()), REFUSED),
    "no ending": (GOOD, REFUSED),
    "page.csv": ("<html><body>error</body></html>", REFUSED),
    "json.csv": (record(), REFUSED),
    "records.jsonl": (
        "\n".join(
            [*(record(TRANSACTION_ID=n) for n in IDS), record(TX_AMOUNT={"a": 1}), "null", "", "[" * 5000, '{"a": NaN}']
        ),
        8,
    ),
    "our names.jsonl": (record(_line=1, _malformed="x", **{"": 1, "found:tx_amount": 2}), 1),
    "nul.jsonl": (record(CUSTOMER_ID="a\0b") + "\n" + record(), 2),
    "other order.jsonl": ("\n".join([record(), json.dumps(dict(reversed(json.loads(record()).items())))]), 2),
    "long.jsonl": (record() + '\n{"a": ' + "9" * 5000 + "}", 2),
}
TYPES: Mapping[str, tuple[dict[str, Any], int | None]] = {
    "nested": ({"TX_AMOUNT": pa.array([{"a": 1}] * 4)}, REFUSED),
    "nested beside": ({"NOTE": pa.array([{"a": 1}] * 4)}, 4),
    "dictionary": ({"CUSTOMER_ID": pa.array(["a", "b", "a", None]).dictionary_encode()}, 4),
    "bytes": ({"CUSTOMER_ID": pa.array([b"a", b"\xff"] * 2)}, REFUSED),
    "large text": ({"CUSTOMER_ID": pa.array(["a"] * 4, pa.large_string())}, 4),
    "view": ({"CUSTOMER_ID": pa.array(["a"] * 4, pa.string_view())}, 4),
    "uuid": ({"CUSTOMER_ID": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16] * 4, pa.binary(16)))}, 4),
    "decimal": ({"TRANSACTION_ID": pa.array([Decimal(10**50 + n) for n in range(4)], pa.decimal256(60, 0))}, 4),
    "unsigned": ({"TRANSACTION_ID": pa.array([2**64 - 1 - n for n in range(4)], pa.uint64())}, 4),
    "days": ({"TX_DATETIME": pa.array([date(2026, 5, 1)] * 4)}, 4),
    "time of day": ({"TX_DATETIME": pa.array([3] * 4, pa.time32("s"))}, REFUSED),
    "offset": ({"TX_DATETIME": pa.array([NOON] * 4, pa.timestamp("us", "+05:30"))}, 4),
    "unknown zone": ({"TX_DATETIME": pa.array([NOON] * 4, pa.timestamp("us", "Mars/Base"))}, 4),
    "extreme": ({"TX_DATETIME": pa.array([-(2**63), 2**63 - 1, 1777716000000000, None], pa.timestamp("us"))}, 4),
    "epoch": ({"TX_DATETIME": pa.array([1777716000] * 4)}, REFUSED),
    "list view": ({"CUSTOMER_ID": pa.array([[1]] * 4, pa.list_view(pa.int64()))}, REFUSED),
    "list view beside": ({"NOTE": pa.array([[1]] * 4, pa.list_view(pa.int64()))}, 4),
    "half precision": ({"CUSTOMER_ID": pa.array(np.array([1, 2047, 2048, 4096], np.float16))}, 4),
    "our names": ({name: pa.array([1] * 4) for name in ("_line", "_malformed", "_row", "", "found:tx_amount")}, 4),
    "dotted": ({"TX_AMOUNT.b": pa.array([1] * 4)}, 4),
}


def checked(home: Path, *files: Path) -> Check:
    own = settings.load({"EVERGREEN_HOME": str(home)})
    found = check_files(own, FRAUD, {"transactions": files}, None, None, NOW)
    assert not home.exists()
    for each in found.inputs:
        json.dumps([each.summary(), each.first_rows(9)])
    return found


def counted(found: Check, records: int | None) -> None:
    if records is None:
        assert len(found.refusals) == 1 and ": expected " in found.refusals[0]
        return
    (each,) = found.inputs
    assert each.read == records and (each.good == records or each.quarantined)
    assert sum(reason["rows"] for reason in each.quarantined) >= each.read - each.good


@pytest.mark.parametrize("name", FILES)
def test_every_record_of_a_text_is_counted_or_the_file_is_refused(tmp_path: Path, name: str) -> None:
    content, records = FILES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    counted(checked(tmp_path / "home", tmp_path / name), records)


def parquet(path: Path, **columns: Any) -> Path:
    made = {
        "TRANSACTION_ID": IDS,
        "TX_DATETIME": [NOON] * 4,
        "CUSTOMER_ID": [1] * 4,
        "TERMINAL_ID": [1] * 4,
        "TX_AMOUNT": [1.5] * 4,
    }
    pq.write_table(pa.table({**made, **columns}), path)
    return path


@pytest.mark.parametrize("name", TYPES)
def test_every_row_of_a_type_is_counted_or_the_file_is_refused(tmp_path: Path, name: str) -> None:
    columns, rows = TYPES[name]
    counted(checked(tmp_path / "home", parquet(tmp_path / "a.parquet", **columns)), rows)


@pytest.mark.parametrize("name", [name for name, (_, rows) in TYPES.items() if rows])
def test_a_part_is_read_beside_others_as_by_itself(tmp_path: Path, name: str) -> None:
    other = tmp_path / "b.csv"
    other.write_text(lines(row(1)))
    part = parquet(tmp_path / "a.parquet", **TYPES[name][0])
    together, alone = checked(tmp_path / "home", part, other), checked(tmp_path / "home", part)
    assert together.inputs[0].read == 5 and together.inputs[0].good >= alone.inputs[0].good + 1


def test_a_time_with_an_offset_is_that_moment(tmp_path: Path) -> None:
    part = parquet(
        tmp_path / "a.parquet", TX_DATETIME=pa.array([NOON] * 4, pa.timestamp("us")).cast(pa.timestamp("us", "+05:30"))
    )
    assert checked(tmp_path / "home", part).inputs[0].first_event == NOON.replace(tzinfo=UTC)


def test_a_column_twice_and_others_missing_is_refused(tmp_path: Path) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["TRANSACTION_ID", "TRANSACTION_ID"])
    pq.write_table(twice, tmp_path / "a.parquet")
    counted(checked(tmp_path / "home", tmp_path / "a.parquet"), REFUSED)


def test_a_year_that_nanoseconds_do_not_reach_is_that_year(tmp_path: Path) -> None:
    old = pa.array([datetime(1442, 5, 1), NOON, NOON, NOON], pa.timestamp("us"))
    path = tmp_path / "a.parquet"
    pq.write_table(pq.read_table(parquet(path, TX_DATETIME=old)), path, use_deprecated_int96_timestamps=True)
    (each,) = checked(tmp_path / "home", path).inputs
    assert [reason["first"]["value"] for reason in each.quarantined] == ["1442-05-01 00:00:00.000000"]


@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=3))
@with_examples(100)
def test_a_file_with_flipped_bits_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.parquet"
    content = bytearray(parquet(path).read_bytes())
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    found = checked(tmp_path_factory.getbasetemp() / "home", path)
    assert found.inputs or found.refusals


def test_of_reasons_that_are_as_common_what_is_no_record_is_told_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([record(), "[1]"]))
    (each,) = checked(tmp_path / "home", path).inputs
    assert [(reason["reason"], reason["rows"]) for reason in each.quarantined] == [(NO_OBJECT, 1)]


def test_numbers_as_identifiers_in_two_forms_are_suspicious(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(lines(*(row(n, customer=c) for n, c in enumerate(["7", "007", "A", " 7.0"]))))
    (each,) = checked(tmp_path / "home", path).inputs
    assert "customer_id: '007' and '7' are one number written in two ways, and two identifiers" in each.suspicious
    path.write_text(lines(*(row(n, customer=c) for n, c in enumerate(["7", "8", "7.0"]))))
    assert not checked(tmp_path / "home", path).inputs[0].suspicious


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "a.csv")
    long = tmp_path / ("a" * 300)
    for path in (tmp_path / "folder", tmp_path / "folder" / "a.csv", Path("/dev/zero"), long):
        counted(checked(tmp_path / "home", path), REFUSED)


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.EIO, "no")])
def test_a_file_that_cannot_be_read_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    opened = Path.open

    def fail(self: Path, *args: Any, **named: Any) -> Any:
        if self == path:
            raise OSError(error.errno, "no", str(path))
        return opened(self, *args, **named)

    monkeypatch.setattr(Path, "open", fail)
    counted(checked(tmp_path / "home", path), REFUSED)
