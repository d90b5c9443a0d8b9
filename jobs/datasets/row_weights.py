"""How much rows count, where a problem declares a column that says so (`Problem.weight`)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.errors import Invalid
from jobs.problem import Problem


def counted(table: pa.Table, problem: Problem) -> pa.Table:
    """The rows of `table` that count: without a declared weight all of them, else those of a weight above 0.

    The weights come back with a mean of 1, so that they are no scale of their own.

    Raises:
        ValueError: a weight is null, negative or no finite number, or no row counts.
    """
    name = problem.weight
    if name is None or not table.num_rows:
        return table
    if name not in table.column_names:
        raise Invalid(f"weight: expected the column {name!r}, found {table.column_names}; correct Problem.weight")
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise Invalid(f"weight {name!r}: expected numbers, found {column.type}; cast it, or declare another column")
    weights = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    if (wrong := weights[~(np.isfinite(weights) & (weights >= 0))]).size:
        raise Invalid(
            f"weight {name!r}: expected finite numbers of 0 or more, found {wrong[0]:g} and {len(wrong) - 1} more of "
            f"{len(weights):,} rows; correct them, or write 0 to leave a row out"
        )
    largest = weights.max()
    shares = weights / largest if largest > 0 else weights
    # A share that float32 rounds to nothing counts nothing.
    counts = shares > np.finfo(np.float32).tiny
    if not counts.any():
        raise Invalid(f"weight {name!r}: expected a row above 0, found none of {len(weights):,}; no row counts")
    kept = shares[counts]
    place = table.column_names.index(name)
    return table.filter(pa.array(counts)).set_column(place, name, pa.array(kept / kept.mean()))
