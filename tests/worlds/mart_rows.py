"""Rows of marts as dbt would make them of raw versions, and how tests compare rows of two tables."""

from typing import Any

import polars as pl
import pyarrow as pa
from polars.testing import assert_frame_equal


def versions(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Each version with its number, when the next one ended it, and the last load that changed it."""
    result: list[dict[str, Any]] = []
    for number in {row[key]: None for row in rows}:
        mine = sorted((row for row in rows if row[key] == number), key=lambda row: row["known_at"])
        for place, (row, after) in enumerate(zip(mine, [*mine[1:], None], strict=True)):
            ended = {"superseded_at": after["known_at"] if after else None, "version": place + 1}
            loaded = max(row["loaded_in"], after["loaded_in"] if after else 0)
            result.append(row | ended | {"loaded_in": loaded})
    return result


def plain(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Equal to the last bit: sums are exact, so they do not depend on the rows around."""
    assert found.columns == wanted.columns
    strings = [pl.col(name).cast(pl.String) for name, kind in wanted.schema.items() if kind == pl.String]
    assert_frame_equal(found.with_columns(strings), wanted, check_exact=True)
