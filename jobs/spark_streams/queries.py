"""Queries of Spark Structured Streaming: for each of the window features one, from packets of facts to its table.

What a query keeps serves as long as it runs: the next one starts from tables. So a checkpoint that is lost, old or
shared does no harm.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from pyarrow import fs

from jobs.features.window_runs import kernel_of, plain
from jobs.lakehouse import table_log
from jobs.lakehouse.commit_state import user_metadata
from jobs.lakehouse.kernel_archive import package_zip
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.spark_streams import session
from jobs.spark_streams.packet_kernel import Fold, unpacked
from jobs.spark_streams.packets import BUCKET, FACTS, STAMP, WINDOWS
from jobs.streams.ends import FeaturesEnded
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

TRIGGER = "10 seconds"
"""From one batch of a query to the next."""
BUCKETS_PER_PARTITION = 4
"""Buckets of entities for each partition of a shuffle: so many that hardly a partition is left without work."""


class SparkQueries:
    """The queries of one use case, in a session of their own; those of a process before are ended first."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        """Raises EngineUnreachable."""
        self._lakehouse, self._use_case = lakehouse, use_case
        self._session = session.new_session(lakehouse.settings, use_case)
        self._session.addArtifacts(str(package_zip()), pyfile=True)
        self._queries: list[Any] = []
        self.buckets = BUCKETS_PER_PARTITION * int(str(self._session.conf.get("spark.sql.shuffle.partitions")))
        folder = f"{lakehouse.warehouse.rstrip('/')}/_streams/{use_case.name}"
        remove_folder(folder)
        self._checkpoints = f"{folder}/{uuid.uuid4().hex}"

    def start(
        self, windows: WindowFeatures, schema: pa.Schema, packets: tuple[str, int], state: dict[str, Any]
    ) -> None:
        """Compute features of packets, from a version of their table on, into the table of features, which must exist.

        Args:
            schema: of the table of features.
            packets: path and version of the table of packets.
            state: what commits to the table of features say.
        """
        table = self._use_case.stream_table(windows)
        writer = self._rows(windows, schema, *packets).writeStream.format("delta").partitionBy(PARTITION)
        writer = writer.option("checkpointLocation", f"{self._checkpoints}/{windows.name}")
        writer = writer.option("userMetadata", user_metadata(state)).trigger(processingTime=TRIGGER)
        self._queries.append(writer.queryName(table).start(self._lakehouse.path(table)))

    def check(self) -> None:
        """Raises FeaturesEnded unless all queries run."""
        if why := session.why_ended(self._lakehouse.settings, self._queries):
            raise FeaturesEnded(f"features: {why}")

    def stop(self) -> None:
        """End all queries; nothing if Spark is gone."""
        session.end(self._lakehouse.settings, self._use_case, self._session)

    def _rows(self, windows: WindowFeatures, schema: pa.Schema, path: str, version: int) -> Any:
        from pyspark.sql.connect.functions import col
        from pyspark.sql.pandas.types import from_arrow_schema
        from pyspark.sql.streaming.state import GroupStateTimeout
        from pyspark.sql.types import BinaryType, StructType

        packets = self._session.readStream.format("delta").option("startingVersion", str(version)).load(path)
        fold, columns = _fold(Fold(windows, kernel_of(windows, schema))), from_arrow_schema(schema)
        rows = StructType().add(FACTS, BinaryType())
        computed = (
            packets.where(col(WINDOWS) == windows.name)
            .groupBy(BUCKET)
            .applyInPandasWithState(fold, rows, rows, "append", GroupStateTimeout.NoTimeout)
        )
        # One worker writes: else each would bring a file for every day.
        return computed.mapInArrow(_unpack(schema), columns).selectExpr(*plain(columns)).repartition(1)


def _fold(fold: Fold) -> Callable[..., Iterator[pd.DataFrame]]:
    """The fold of packets as Spark calls it, for a bucket at a time."""

    def of_bucket(key: Any, frames: Iterable[pd.DataFrame], state: Any) -> Iterator[pd.DataFrame]:
        came = pd.concat(frames).sort_values(STAMP, kind="stable")
        before = state.get[0] if state.exists else None
        kept, computed = fold(before, list(came[FACTS]), int(came[STAMP].iloc[-1]))
        state.update((kept,))
        if computed is not None:
            yield pd.DataFrame({FACTS: [computed]})

    return of_bucket


def _unpack(schema: pa.Schema) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Rows of features from bytes."""

    def rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for packet in batch.column(FACTS).to_pylist():
                table = unpacked(packet).to_arrow(compat_level=pl.CompatLevel.oldest())
                yield from table.cast(schema).combine_chunks().to_batches()

    return rows


def remove_folder(folder: str) -> None:
    """Remove what queries before kept, if there is anything."""
    store, path = table_log.located(folder)
    if store.get_file_info(path).type != fs.FileType.NotFound:
        store.delete_dir(path)
