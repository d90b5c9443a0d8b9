"""One table of labelled payments that models are judged on, and parts of it by time."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
from worlds.judged_world import AS_OF, DAY, table_of

START, END = AS_OF - 15 * DAY, AS_OF - 5 * DAY
"""The evaluation window of its use case."""
TABLE = table_of(seed=1, rows=12_000)


def rows_in(start: float, end: float) -> pa.Table:
    """Rows of the table with event times in (start, end], in days before AS_OF."""
    times = TABLE["tx_datetime"].to_numpy()
    limits = [np.datetime64((AS_OF - timedelta(days=d)).replace(tzinfo=None), "us") for d in (start, end)]
    return TABLE.filter(pa.array((times > limits[0]) & (times <= limits[1])))
