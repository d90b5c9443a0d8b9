"""Columns of Arrow files in types that Polars holds, without a value changed: what they mean is no matter here."""

from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

_UUID_BYTES, _UUID_PARTS = 16, ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
_DECIMAL_DIGITS = 38


def readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values by themselves, in a type that Polars holds.

    Dictionaries are looked up, times with an offset are in UTC, bytes that are UTF-8 are text, and 16 bytes of fixed
    width a UUID in text.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return readable(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if pa.types.is_timestamp(kind) and kind.tz and not _is_known(kind.tz):
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_dictionary(kind):
        return readable(pc.cast(column, kind.value_type))
    if pa.types.is_decimal256(kind):
        return _decimal(column)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _uuids(column)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _text(column)
    return column


def _is_known(zone: str) -> bool:
    """Whether a zone is a named one, and no offset such as +05:30: a time with a zone is a moment whatever its zone."""
    try:
        return bool(ZoneInfo(zone).key)
    except (KeyError, ValueError, OSError):
        return False


def _decimal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.decimal128(_DECIMAL_DIGITS, column.type.scale))
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid:
        return column


def _uuids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    digits = pl.Series(column.cast(pa.binary())).bin.encode("hex").to_frame("hex")
    parts = [pl.col("hex").str.slice(start, length) for start, length in _UUID_PARTS]
    text: pa.Array = digits.select(pl.concat_str(parts, separator="-"))["hex"].to_arrow()
    return pa.chunked_array([text])
