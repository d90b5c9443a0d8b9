"""Where ids lie among others, which are distinct. What the ids are of is known to callers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def places(wanted: pa.ChunkedArray, ids: pa.ChunkedArray) -> Any:
    """The place of each wanted id among `ids`, an Arrow array of integers; null where it is not among them.

    Raises what Arrow raises for columns of different types.
    """
    if not (pa.types.is_integer(ids.type) and ids.type == wanted.type and len(ids)):
        return pc.index_in(wanted, value_set=ids.combine_chunks())
    if ids.null_count or wanted.null_count or not _rises(held := ids.to_numpy()):
        return pc.index_in(wanted, value_set=ids.combine_chunks())
    # Ids that rise with time need no table of all of them, which takes several times as long to fill and to ask.
    sought = wanted.to_numpy()
    found = np.minimum(np.searchsorted(held, sought), len(held) - 1)
    return pa.array(found, mask=held[found] != sought)


def _rises(numbers: Any) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())
