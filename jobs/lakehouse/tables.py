"""Delta tables behind one engine API: read, write with proof of what arrived, versions, state, locks.

Which engine answers: see `jobs.lakehouse.engine`. What the tables mean is known to the rooms above.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from jobs.errors import EvergreenError
from jobs.lakehouse import arrow_writer, engine, file_statistics, table_log
from jobs.lakehouse.commit_state import keeping, user_metadata
from jobs.lakehouse.data_files import DataFiles, data_files, local_dataset, scan
from jobs.lakehouse.open_tables import OpenTables
from jobs.lakehouse.session_catalog import register, register_table
from jobs.lakehouse.write_proof import WritableRows, WriteMismatch, check_schema, rows_of_commit
from jobs.settings import Settings
from jobs.state_files import file_lock

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.readwriter import DataFrameWriter
    from pyspark.sql.connect.session import SparkSession

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
T = TypeVar("T")


REFRESHED = "evergreen.refreshed"
"""Table property: the version that other SQL was told to make all rows for (`jobs.lakehouse.model_refresh`)."""
PARTITION = "event_date"
"""The column of daily partitions, of every table that has them."""
NO_DAY = "date '9999-12-31'"


class TableDamaged(EvergreenError, RuntimeError):
    """A table's log cannot be read."""


class VersionGone(EvergreenError, RuntimeError):
    """A table's log has no such version: it expired, or the table was made again."""


@dataclass
class Lakehouse:
    """All Delta tables of one warehouse, through one shared engine session.

    A table `schema.name` lives at `{warehouse}/{schema}/{name}`.
    """

    settings: Settings
    kernels_sent: bool = field(default=False, init=False, repr=False, compare=False)
    """The engine of this session has the package that kernels are imported from."""
    last_read: dict[str, tuple[Any, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Name -> key and value of what was read last under it, for later steps of the same run (`read_once`)."""
    _client: engine.Client = field(init=False, repr=False, compare=False)
    _open: OpenTables = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._client = engine.Client(self.settings, self._prepare)
        self._open = OpenTables(lambda path, version: self.delta(".".join(path.split("/")[-2:]), version))

    def _prepare(self, spark: "SparkSession") -> None:
        register(spark, self.warehouse, embedded=self.settings.spark_remote is None)
        self.kernels_sent = False
        self.last_read.clear()  # frames of a session that is gone

    @property
    def warehouse(self) -> str:
        return self.settings.warehouse

    @property
    def spark(self) -> "SparkSession":
        """The shared session, with every table of the warehouse registered in it. Raises EngineUnreachable."""
        return self._client.session()

    def require_engine(self) -> None:
        """Raises EngineLost if the engine of the session is known to be gone: what a library's error is due to."""
        self._client.require()

    def read_once(self, what: str, key: object, read: Callable[[], T]) -> T:
        """What was read last under the name `what` if that was for the same key, else what `read` returns."""
        last = self.last_read.get(what)
        if last is None or last[0] != key:
            self.last_read.pop(what, None)
            last = self.last_read[what] = (key, read())
        value: T = last[1]
        return value

    def path(self, table: str) -> str:
        schema, name = table.split(".")
        return f"{self.warehouse.rstrip('/')}/{schema}/{name}"

    def delta(self, table: str, version: int | None = None) -> DeltaTable:
        """The delta-rs view of a table, opened for the caller: what changes a table starts from this."""
        path = self.path(table)
        try:
            return DeltaTable(path, version=version)
        except DeltaError as error:
            if version is not None and (latest := self.version(table)) is not None:
                raise VersionGone(
                    f"{path}: expected version {version}, found a log that ends at version {latest} and from which "
                    "that one cannot be read; restore the table from a backup if it is needed"
                ) from error
            if isinstance(error, TableNotFoundError):
                raise
            raise TableDamaged(
                f"{path}: expected a Delta table as it was written, found a log that cannot be read; mend it by "
                f"`evergreen repair table {table}`, or restore it from a backup"
            ) from error

    def snapshot(self, table: str, version: int | None = None) -> DeltaTable:
        """The same for reading alone: history, versions and Arrow reads without an engine; it may have been read."""
        return self._open.get(self.path(table), version)

    def exists(self, table: str) -> bool:
        return self.version(table) is not None

    def version(self, table: str) -> int | None:
        """Latest Delta version, or None if there is no such table."""
        delta = self._opened(table)
        return None if delta is None else delta.version()

    def _opened(self, table: str) -> DeltaTable | None:
        try:
            return self.snapshot(table)
        except (DeltaError, TableDamaged):  # no such table, one that was never finished, or a damaged one
            return self.snapshot(table) if table_log.exists(self.path(table)) else None

    def versions(self, tables: Sequence[str]) -> dict[str, int | None]:
        return {table: self.version(table) for table in tables}

    def read(self, table: str, version: int | None = None) -> "DataFrame":
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def data_files(self, table: str, version: int | None = None) -> DataFiles | None:
        """A table's rows for a kernel that reads them itself; None where the engine's workers may not see the files."""
        return None if self.settings.spark_remote else data_files(self.snapshot(table, version))

    def scan(self, table: str, version: int | None = None) -> "pl.LazyFrame | None":
        """A table's rows for a kernel in this process; None where only the engine can read them."""
        return None if self.settings.spark_remote else scan(self.snapshot(table, version))

    def to_arrow(
        self,
        table: str,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        filters: Any = None,
    ) -> pa.Table:
        """Read a table, or the part that `filters` (DNF, as in pyarrow) keeps, without an engine."""
        from pyarrow.parquet import filters_to_expression

        delta = self.snapshot(table, version)
        kept = None if filters is None else filters_to_expression(filters)
        rows = local_dataset(delta) or delta.to_pyarrow_dataset()
        return rows.to_table(columns=None if columns is None else list(columns), filter=kept)

    def first_rows(self, table: str, file: str, rows: int) -> pa.Table:
        """The first rows of one data file of a table, without its partition columns."""
        from pyarrow import dataset  # imports pandas

        store, folder = table_log.located(self.path(table))
        return dataset.dataset(f"{folder}/{unquote(file)}", format="parquet", filesystem=store).head(rows)

    def schema(self, table: str, version: int | None = None) -> pa.Schema:
        return table_log.schema(self.snapshot(table, version))

    def write(
        self,
        table: str,
        rows_in: WritableRows,
        *,
        mode: str,
        schema: pa.Schema,
        rows: int | None = None,
        replace_where: str | None = None,
        partition_by: Sequence[str] = (),
        state: Mapping[str, Any] | None = None,
    ) -> int:
        """Write through the engine and prove that what arrived is what was meant; returns the Delta version.

        `mode` is `append` or `overwrite` (only the rows that match `replace_where`, if given); `schema` and
        `rows` are what the caller means to write; `state` is committed in the same transaction. A reader's batches
        are written in this process (see `jobs.lakehouse.arrow_writer`), everything else by the engine.

        Raises WriteMismatch, with the table as it was, if schema or row count differ.
        """
        existing = self._opened(table)
        before = None if existing is None else existing.version()
        check_schema(table, rows_in, schema, existing)
        if existing is None:
            table_log.clear(self.path(table))
        if isinstance(rows_in, pa.Table):
            rows = rows_in.num_rows if rows is None else rows
            rows_in = self._frame(rows_in)
        where, by = (None, partition_by) if existing is None else (replace_where, ())
        if isinstance(rows_in, pa.RecordBatchReader):
            target = self.path(table) if existing is None else self.delta(table)
            arrow_writer.save(target, rows_in, mode, where, by, keeping(state or {}))
        else:
            new = {} if existing is not None else file_statistics.properties(schema, partition_by)
            options = {"userMetadata": user_metadata(state or {}), **new}
            _writer(rows_in, mode, where, by, options).save(self.path(table))
        after = self._written_version(table, is_new=existing is None)
        if rows is not None:
            self._check_rows(table, (before, after), rows, where)
        return self._with_state(table, state) if after == before and state else after

    def _frame(self, rows: pa.Table) -> Any:
        """Arrow rows as the engine has them; of none PySpark asks for the types alone."""
        if rows.num_rows:
            return self.spark.createDataFrame(rows)
        from pyspark.sql.pandas.types import from_arrow_schema

        return self.spark.createDataFrame([], from_arrow_schema(rows.schema))

    def _with_state(self, table: str, state: Mapping[str, Any]) -> int:
        """Commit what rows rest on where the engine made no commit, as no row goes and none comes."""
        delta = self.delta(table)
        if user_metadata(self.state(table)) != user_metadata(state):
            empty = table_log.schema(delta).empty_table()
            write_deltalake(delta, empty, mode="append", commit_properties=keeping(state))
        return int(delta.version())

    def _written_version(self, table: str, is_new: bool) -> int:
        after = self.version(table)
        if after is None:
            raise WriteMismatch(f"{table}: the engine reported success, but there is no table at {self.path(table)}")
        if is_new:
            register_table(self.spark, self.path(table), table, embedded=self.settings.spark_remote is None)
        return after

    def _check_rows(self, table: str, versions: tuple[int | None, int], rows_written: int, where: str | None) -> None:
        before, after = versions
        arrived = 0 if after == before and where is None else self._arrived(table, after, where)
        if arrived == rows_written:
            return
        if before is not None and after != before:
            self.delta(table).restore(before, commit_properties=keeping(self.state(table, before)))
        raise WriteMismatch(
            f"{table}: expected {rows_written} rows to arrive, found {arrived}; the table was put back as it was"
        )

    def _arrived(self, table: str, version: int, where: str | None) -> int:
        if where is not None:  # the commit's own count would include kept rows of files it had to rewrite
            return self.read(table, version).where(where).count()
        return rows_of_commit(self.snapshot(table))

    def reshape(
        self,
        table: str,
        schema: pa.Schema,
        state: Mapping[str, Any] | None = None,
        partition_by: Sequence[str] | None = None,
    ) -> None:
        """Give a table other columns, empty: no engine replaces columns and rows at once. Its history keeps the rows.

        Only the `state` given holds afterwards: a run that is killed before it wrote finds nothing built.
        """
        self.replace_rows(table, schema.empty_table(), state or {}, partition_by)

    def replace_rows(
        self, table: str, rows: pa.Table, state: Mapping[str, Any], partition_by: Sequence[str] | None = None
    ) -> None:
        """Give a table other columns and all of its rows anew, in one commit; in this process."""
        write_deltalake(
            self.delta(table), rows, mode="overwrite", schema_mode="overwrite",
            partition_by=None if partition_by is None else list(partition_by), commit_properties=keeping(state),
        )  # fmt: skip
        self.set_properties(table, {}, state)

    def refreshed(self, table: str) -> str | None:
        """The version at which all rows of a table were last made anew by other SQL; None: never."""
        return None if not self.exists(table) else self.snapshot(table).metadata().configuration.get(REFRESHED)

    def set_properties(self, table: str, properties: Mapping[str, str], state: Mapping[str, Any] | None = None) -> None:
        """Set table properties, and those of `file_statistics`, where they differ; `state` goes on."""
        delta = self.delta(table)
        metadata = delta.metadata()
        needed = {**properties, **file_statistics.properties(table_log.schema(delta), metadata.partition_columns)}
        if needed.items() - metadata.configuration.items():
            # Properties of our own, too.
            commit = keeping(state or {})
            delta.alter.set_table_properties(needed, raise_if_not_exists=False, commit_properties=commit)

    def state(self, table: str, version: int | None = None) -> dict[str, Any]:
        """State of the last Evergreen commit of a table, until `version` ({} if none): what its rows were made from."""
        latest = self._opened(table)
        for commit in () if latest is None else latest.history():  # an older version's would hold the later ones too
            if version is not None and commit["version"] > version:
                continue
            with contextlib.suppress(ValueError, TypeError, KeyError):
                state: dict[str, Any] = json.loads(commit["userMetadata"])["evergreen"]
                return state
        return {}

    def row_count(self, table: str, version: int | None = None) -> int:
        """Rows of a table, by its log."""
        actions = pa.table(self.snapshot(table, version).get_add_actions(flatten=True))
        return sum(rows or 0 for rows in actions["num_records"].to_pylist())

    def maxima(self, table: str, columns: Sequence[str], version: int | None = None) -> list[Any]:
        """The greatest value of each column (None if there is none), from file statistics where every file has them."""
        import pyarrow.compute as pc

        actions = pa.table(self.snapshot(table, version).get_add_actions(flatten=True))
        filled = actions.filter(pc.fill_null(pc.greater(actions["num_records"], 0), True))
        statistics = [f"max.{name}" for name in columns]
        if all(name in filled.column_names and not filled[name].null_count for name in statistics):
            return [pc.max(filled[name]).as_py() for name in statistics]
        greatest = self.read(table, version).selectExpr(*(f"max(`{name}`) as `{name}`" for name in columns)).toArrow()
        return list(greatest.to_pylist()[0].values())

    def changed_days(self, table: str, since: int, until: int | None = None) -> set[date] | None:
        """Daily partitions (event_date) whose files differ between versions (default: to now); None if all may do."""
        try:
            then, now = self.files(table, since), self.files(table, until)
        except (VersionGone, DeltaError, OSError):
            return None  # that version is vacuumed away, or of the table before it was made again
        days = {(then | now)[path] for path in then.keys() ^ now.keys()}
        return None if None in days else {day for day in days if day is not None}

    def files(self, table: str, version: int | None = None) -> dict[str, date | None]:
        """Data files of a table, and the daily partition of each; None without one."""
        actions = pa.table(self.snapshot(table, version).get_add_actions(flatten=True))
        paths = actions["path"].to_pylist()
        name = f"partition.{PARTITION}"
        days = actions[name].to_pylist() if name in actions.column_names else [None] * len(paths)
        return dict(zip(paths, days, strict=True))

    def files_by_day(self, table: str, version: int | None = None) -> dict[date | None, list[str]]:
        """Data files of each daily partition, sorted; under None those that are in none."""
        days: dict[date | None, list[str]] = {}
        for path, day in sorted(self.files(table, version).items(), key=lambda item: item[0]):
            days.setdefault(day, []).append(path)
        return days

    def lock(self, table: str) -> contextlib.AbstractContextManager[None]:
        """One writer of a table at a time on this home; freed by the kernel if the holder is killed."""
        return file_lock(self.settings.home / "locks" / f"{table}.lock")

    def kernel(self, function: AnyFunction) -> AnyFunction:
        """Make sure that `function`, which lives in `jobs`, can run in the engine; returns it unchanged."""
        if self.settings.spark_remote is None:
            return function
        spark = self.spark  # a new session lacks the package: `kernels_sent` is then false
        if not self.kernels_sent:
            from jobs.lakehouse.kernel_archive import package_zip

            spark.addArtifacts(str(package_zip()), pyfile=True)
            self.kernels_sent = True
        return function


def of_days(days: Sequence[date]) -> str:
    """SQL: the rows of these daily partitions (of none: no rows). Literals, because only those prune files."""
    listed = ", ".join(f"date '{day}'" for day in days)
    return f"{PARTITION} in ({listed or NO_DAY})"


def _writer(
    frame: "DataFrame", mode: str, where: str | None, by: Sequence[str], options: Mapping[str, str]
) -> "DataFrameWriter":
    """The writer of a frame; with `where` it replaces only the rows that match."""
    writer = frame.write.format("delta").mode(mode).options(**options)
    if where is not None:
        writer = writer.option("replaceWhere", where)
    return writer.partitionBy(*by) if by else writer


def attach(settings: Settings) -> Lakehouse:
    """The lakehouse of this home; the engine is found or started when it is first needed."""
    return Lakehouse(settings)
