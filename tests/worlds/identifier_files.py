"""The same identifiers in files of every type and format that can hold them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def table(ids: pa.Array | Sequence[Any], **columns: Any) -> pa.Table:
    n = len(ids)
    made = {"PAYMENT_ID": ids, "PAID_AT": [NOON] * n, "AMOUNT": [1.5] * n}
    return pa.table(made | columns)


def parquet(path: Path, content: pa.Table) -> Path:
    pq.write_table(content, path)
    return path


def csv(path: Path, ids: Sequence[str], time: str = "2026-05-01 12:00:00") -> Path:
    path.write_text("PAYMENT_ID,PAID_AT,AMOUNT\n" + "".join(f"{i},{time},1.5\n" for i in ids))
    return path


Writer = Callable[[Path, list[int]], Path]
TYPES = {
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(), "uint8": pa.uint8(),
    "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(), "float16": pa.float16(),
    "float32": pa.float32(), "float64": pa.float64(), "decimal38": pa.decimal128(38, 0),
    "decimal scale 2": pa.decimal128(20, 2), "decimal256": pa.decimal256(60, 0),
}  # fmt: skip
TEXTS = {"string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view(),
         "binary text": pa.binary(), "dictionary": pa.dictionary(pa.int32(), pa.string())}  # fmt: skip


def of_type(kind: pa.DataType) -> Writer:
    def write(path: Path, ids: list[int]) -> Path:
        wide = pa.array([Decimal(i) for i in ids], pa.decimal128(38, 0))
        if pa.types.is_decimal(kind):
            return parquet(path, table(wide.cast(kind)))
        return parquet(path, table(pa.array(ids, kind)))

    return write


def of_text(kind: pa.DataType) -> Writer:
    return lambda path, ids: parquet(path, table(pa.array(list(map(str, ids)), pa.string()).cast(kind)))


WRITERS: dict[str, Writer] = {
    **{name: of_type(kind) for name, kind in TYPES.items()},
    **{name: of_text(kind) for name, kind in TEXTS.items()},
    "integers in a dictionary": lambda p, ids: parquet(p, table(pa.array(ids, pa.int64()).dictionary_encode())),
    "padded text": lambda p, ids: parquet(p, table([f" {i}\t" for i in ids])),
    "text of doubles": lambda p, ids: parquet(p, table([f"{float(i)}" for i in ids])),
    "csv": lambda p, ids: csv(p.with_suffix(".csv"), list(map(str, ids))),
    "padded csv": lambda p, ids: csv(p.with_suffix(".csv"), [f"  {i} " for i in ids]),
    "csv of doubles": lambda p, ids: csv(p.with_suffix(".csv"), [f"{i}.0" for i in ids]),
}
