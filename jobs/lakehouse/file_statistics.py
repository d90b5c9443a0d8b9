"""Which columns of a Delta table have their least and greatest value per data file in the table's log, and how exactly.

Floats have none. The embedded engine (Sail 0.7.2) takes a column of which a file holds only one value from the log
instead of the file, and parses the log's text to the nearest double or the one next to it: one of nine such values
came back changed in its last bit. No reader skips files by a float feature, so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pyarrow as pa

CHOSEN = "delta.dataSkippingStatsColumns"
NUMBER = "delta.dataSkippingNumIndexedCols"
ROUNDED = timedelta(milliseconds=1)
"""Times in a Delta log are whole milliseconds, rounded down (protocol, "Per-file Statistics")."""

_KINDS: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)
"""Types that Delta's writers accept in the property; of others, such as booleans, they keep no such values."""


def properties(schema: pa.Schema, partition_by: Sequence[str]) -> dict[str, str]:
    """Table properties that leave the statistics of floats out; partition columns never have any."""
    names = [f.name for f in schema if f.name not in partition_by and any(kind(f.type) for kind in _KINDS)]
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    return {CHOSEN: ",".join(quoted)} if names else {NUMBER: "0"}
