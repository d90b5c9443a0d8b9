"""Delta tables as other writers make them, written by hand: with deletion vectors, renamed columns, other features.

The formats are those of the Delta protocol and of Roaring bitmaps; what the product writes itself is made by it.
"""

import base64
import json
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_DELTA_TYPES = {"int64": "long", "double": "double", "string": "string", "timestamp[us, tz=UTC]": "timestamp"}
_FEATURES = ("readerFeatures", "writerFeatures")
_ARRAY_OF_BITMAPS, _BITMAP = 1681511377, 12346


def write_by_hand(
    folder: Path, rows: pa.Table, *, deleted: Sequence[int] = (), renamed: bool = False, features: Sequence[str] = ()
) -> Path:
    """A table of one commit, of whose file the rows at the places `deleted` are marked as deleted.

    `renamed`: its file calls the columns otherwise than the table does. `features`: what a reader must know besides.
    """
    (folder / "_delta_log").mkdir(parents=True)
    names = [f"col-{n}" if renamed else f.name for n, f in enumerate(rows.schema)]
    pq.write_table(rows.rename_columns(names), folder / "part-0.parquet")
    fields = [_field(n, f, name, renamed) for n, (f, name) in enumerate(zip(rows.schema, names, strict=True))]
    needed = [*features, *(["deletionVectors"] if deleted else []), *(["columnMapping"] if renamed else [])]
    added: dict[str, Any] = {
        "path": "part-0.parquet", "partitionValues": {}, "size": (folder / "part-0.parquet").stat().st_size,
        "modificationTime": 0, "dataChange": True, "stats": json.dumps({"numRecords": rows.num_rows}),
    }  # fmt: skip
    if deleted:
        added["deletionVector"] = _deletion_vector(deleted)
    options = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": str(len(names))}
    commit(
        folder, 0,
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **dict.fromkeys(_FEATURES, needed)}},
        {"metaData": {
            "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}}, "partitionColumns": [],
            "schemaString": json.dumps({"type": "struct", "fields": fields}), "createdTime": 0,
            "configuration": options if renamed else {},
        }},
        {"add": added},
    )  # fmt: skip
    return folder


def commit(folder: Path, version: int, *actions: dict[str, Any]) -> None:
    (folder / "_delta_log" / f"{version:020d}.json").write_text("\n".join(map(json.dumps, actions)))


def _field(number: int, field: pa.Field, name_in_file: str, renamed: bool) -> dict[str, Any]:
    names = {"delta.columnMapping.id": number + 1, "delta.columnMapping.physicalName": name_in_file}
    kind = _DELTA_TYPES[str(field.type)]
    return {"name": field.name, "type": kind, "nullable": True, "metadata": names if renamed else {}}


def _deletion_vector(rows: Sequence[int]) -> dict[str, Any]:
    places = b"".join(struct.pack("<H", row) for row in sorted(rows))
    bitmap = struct.pack("<IIHHI", _BITMAP, 1, 0, len(rows) - 1, 16) + places
    content = struct.pack("<IQI", _ARRAY_OF_BITMAPS, 1, 0) + bitmap
    padded = base64.b85encode(content + b"\0" * (-len(content) % 4))
    inline = padded.translate(bytes.maketrans(_B85, _Z85)).decode()
    return {"storageType": "i", "pathOrInlineDv": inline, "sizeInBytes": len(content), "cardinality": len(rows)}
