"""On-demand features computed in the engine, batch by batch, so that a training set never passes through the client.

The functions are the ones declared in the feature repo; a request to the online store runs the very same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.errors import Invalid
from jobs.feature_store.exact_integers import for_pandas

if TYPE_CHECKING:
    from feast import OnDemandFeatureView
    from pyspark.sql import DataFrame

Transformation = Callable[[Any], Any]

_ROWS_PER_CALL = 65_536


def with_on_demand(
    frame: DataFrame, views: Sequence[OnDemandFeatureView], requested: Sequence[str], full_feature_names: bool
) -> DataFrame:
    """`frame` with the requested features of on-demand views appended.

    Raises:
        ValueError: a view whose transformation is neither a pandas nor a Python function.
    """
    from feast.types import from_feast_to_pyarrow_type
    from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
    from pyspark.sql.types import StructField, StructType

    steps = [_step(view, requested, full_feature_names) for view in views]
    types = {f"{_name(v.projection)}:{f.name}": from_feast_to_pyarrow_type(f.dtype) for v in views for f in v.features}
    added = {out: types[ref] for _, _, _, outputs in steps for _, out, ref in outputs}
    schema = StructType(
        [*frame.schema.fields, *(StructField(name, from_arrow_type(kind), True) for name, kind in added.items())]
    )
    arrow = to_arrow_schema(schema, timezone="UTC")
    plain = [
        (mode, function, names, [(name, out) for name, out, _ in outputs]) for mode, function, names, outputs in steps
    ]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for given_rows in _larger(batches):
            table = given_rows
            for mode, function, names, outputs in plain:
                # Functions may use the short and the full name of a feature alike.
                inputs = {name: one for one, other in names for name in (one, other) if one in table.column_names}
                under_both_names = pa.table({name: table[one] for name, one in inputs.items()})
                if mode == "pandas":
                    result = pa.Table.from_pandas(
                        function(for_pandas(under_both_names).to_pandas()), preserve_index=False
                    )
                else:
                    result = pa.table(function(under_both_names.to_pydict()))
                for name, out in outputs:
                    table = table.append_column(out, result[name])
            yield from table.cast(arrow).to_batches()

    return frame.mapInArrow(run, schema)


def _larger(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in pieces large enough that a call's fixed cost in pandas does not show."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= _ROWS_PER_CALL:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _step(
    view: OnDemandFeatureView, requested: Sequence[str], full_feature_names: bool
) -> tuple[str, Transformation, list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Mode, function, pairs of names of its inputs, and what it adds: (name in the result, output name, reference)."""
    transformation: Any = view.feature_transformation
    mode = getattr(getattr(transformation, "mode", None), "value", "")
    if mode not in ("pandas", "python") or view.singleton:
        raise Invalid(
            f"on-demand view {view.name}: expected mode pandas or python (not singleton), found {mode or 'none'}; "
            "use to_df() or to_arrow() for others"
        )
    name = _name(view.projection)
    outputs = [
        (feature.name, f"{name}__{feature.name}" if full_feature_names else feature.name, f"{name}:{feature.name}")
        for feature in view.features
        if f"{name}:{feature.name}" in requested
    ]
    requests = [(name, name) for name in view.get_request_data_schema()]
    names = requests + [
        pair
        for projection in view.source_feature_view_projections.values()
        for feature in projection.features
        for pair in (
            (f"{_name(projection)}__{feature.name}", feature.name),
            (feature.name, f"{_name(projection)}__{feature.name}"),
        )
    ]
    return mode, _travelling(transformation.udf), names, outputs


def _name(projection: Any) -> str:
    return str(projection.name_to_use())


def _travelling(function: Transformation) -> Transformation:
    """The function, so that it is sent as code: the engine cannot import a user's feature repo."""
    from pyspark import cloudpickle

    by_value: Callable[[Any], None] = cloudpickle.register_pickle_by_value
    module = sys.modules.get(function.__module__)
    if module is not None and function.__module__ != "__main__":
        by_value(module)
    return function
