"""How damaged tables are mended: raw rows come back from the registered input, derived tables are made again.

Nothing is deleted: what is taken out of a table goes to `_damaged` in the warehouse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from pyarrow import fs

from jobs import unfinished
from jobs.errors import EvergreenError, Invalid
from jobs.ingest import load
from jobs.ingest.columns_file import columns_file
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.input_files import find_files
from jobs.ingest.load_job import LoadJob
from jobs.ingest.parsing import table_schema
from jobs.ingest.raw_commit import LOADED_IN
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import Inputs
from jobs.ingest.rehearsal import Rehearsal
from jobs.integrity import checksums
from jobs.integrity.table_files import DamagedFile, damaged_files, is_recorded
from jobs.lakehouse import arrow_writer
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.table_log import located
from jobs.lakehouse.tables import Lakehouse, TableDamaged, of_days
from jobs.settings import Settings
from jobs.use_case import Source, UseCase

Kind = Literal["raw", "derived", "recorded"]
DAMAGED = "_damaged"
_ROUNDED = timedelta(milliseconds=1)
"""Logs round times."""


class NotRebuilt(EvergreenError, RuntimeError):
    """A table that cannot be made again from what there is; nothing was changed."""


def kind_of(table: str, use_case: UseCase) -> Kind:
    """How a table comes back: from input, by a run, or not at all (what was served, and what was refused)."""
    if table in {use_case.raw_table(source) for source in use_case.sources}:
        return "raw"
    return "recorded" if is_recorded(table) else "derived"


def rebuild_raw(lakehouse: Lakehouse, use_case: UseCase, table: str, inputs: Inputs, now: datetime) -> int:
    """Write the rows of the damaged files of a raw table again, in one commit; returns how many.

    Raises NotRebuilt if the registered input does not hold just these rows.
    """
    source = next(source for source in use_case.sources if use_case.raw_table(source) == table)
    with lakehouse.lock(table):
        damaged = _data_files(lakehouse, table)
        days = _days(lakehouse, table, damaged)
        sound = _sound_rows(lakehouse, table, damaged, days)
        made = _loaded_again(lakehouse, use_case, source, inputs, now)
        if days is not None:
            made = made.filter(pl.col(EVENT_DATE).is_in(list(days)))
        content = [*(c.name for c in source.columns), KNOWN_AT]
        lost = made.join(sound, on=content, how="anti", nulls_equal=True, maintain_order="left")
        _prove(lakehouse, table, damaged, lost)
        lost = _with_loads(lakehouse, table, damaged, lost.select(sound.columns))
        _replace(lakehouse, table, sound, lost, days)
    return lost.height


def is_of_dbt(table: str, use_case: UseCase) -> bool:
    """Whether dbt makes a table: a missing one is made anew, but an empty one is merged into as if it had rows."""
    return table.split(".")[0] in (use_case.name, f"{use_case.name}_staging")


def is_of_monitoring(table: str, use_case: UseCase) -> bool:
    """Whether no other table follows from it by its version."""
    return table.split(".")[0] == f"{use_case.name}_monitoring"


def empty(lakehouse: Lakehouse, table: str) -> None:
    """Take all rows out of a table in a commit that says nothing was built: whoever reads it sees that all changed."""
    with lakehouse.lock(table):
        delta = lakehouse.delta(table)
        lakehouse.reshape(table, lakehouse.schema(table), partition_by=delta.metadata().partition_columns)


def forget_versions(settings: Settings, use_case: UseCase) -> None:
    """Forget which versions of tables were read: tables that are made anew count from 0 again."""
    for name in ("transforms.json", "online.json"):
        (settings.state / use_case.name / name).unlink(missing_ok=True)


def set_aside(lakehouse: Lakehouse, table: str) -> str:
    """Move the folder of a table out of the way; returns where it lies now."""
    store, folder = located(lakehouse.path(table))
    target = free_place(lakehouse, table)
    store.create_dir(str(Path(target).parent), recursive=True)
    if store.get_file_info(folder).type != fs.FileType.NotFound:
        store.move(folder, target)
    checksums.forget(lakehouse.settings, table)
    return target


def drop_rows(lakehouse: Lakehouse, table: str) -> int:
    """Take the damaged files out of a table, with their rows; returns how many rows the log knew in them."""
    with lakehouse.lock(table):
        damaged = _data_files(lakehouse, table)
        store, folder = located(lakehouse.path(table))
        aside = free_place(lakehouse, table)
        store.create_dir(aside, recursive=True)
        for file in damaged:
            path = f"{folder}/{unquote(file.path)}"
            if store.get_file_info(path).is_file:
                store.move(path, f"{aside}/{Path(path).name}")
        lakehouse.delta(table).repair(commit_properties=keeping(lakehouse.state(table)))
    return sum(file.num_records or 0 for file in damaged)


def _data_files(lakehouse: Lakehouse, table: str) -> list[DamagedFile]:
    """The damaged ones. Raises TableDamaged if the log is."""
    damaged = damaged_files(lakehouse, table, deep=True)
    if any(file.is_of_log for file in damaged):
        raise TableDamaged(f"{table}: expected its log as it was written, found another one")
    return damaged


def free_place(lakehouse: Lakehouse, table: str) -> str:
    """A place for damaged files of a table where nothing lies."""
    store, root = located(lakehouse.warehouse)
    places = (f"{root.rstrip('/')}/{DAMAGED}/{table}.{number}" for number in range(1, 10_000))
    return next(place for place in places if store.get_file_info(place).type.name == "NotFound")


def _days(lakehouse: Lakehouse, table: str, damaged: Sequence[DamagedFile]) -> list[date] | None:
    """Event dates of the damaged files; None if the table has no daily partitions."""
    files = lakehouse.files(table)
    days = {files[file.path] for file in damaged}
    return None if None in days else sorted(day for day in days if day is not None)


def _sound_rows(
    lakehouse: Lakehouse, table: str, damaged: Sequence[DamagedFile], days: Sequence[date] | None
) -> pl.DataFrame:
    """The rows that can be read, of these days."""
    schema, files = lakehouse.schema(table), lakehouse.files(table)
    store, folder = located(lakehouse.path(table))
    unreadable = {file.path for file in damaged}
    frames = [pl.DataFrame(schema.empty_table())]
    for path, day in files.items():
        if path not in unreadable and (days is None or day in days):
            with store.open_input_file(f"{folder}/{unquote(path)}") as stream:
                rows = pl.read_parquet(stream.read())
            rows = rows if day is None else rows.with_columns(pl.lit(day).alias(EVENT_DATE))
            frames.append(pl.DataFrame(rows.select(schema.names).to_arrow().cast(schema)))
    return pl.concat(frames)


def _loaded_again(
    lakehouse: Lakehouse, use_case: UseCase, source: Source, inputs: Inputs, now: datetime
) -> pl.DataFrame:
    """The rows that loads of the registered input into an empty home append to the source's table."""
    as_of = datetime.fromisoformat(lakehouse.state(use_case.raw_table(source))["as_of"])
    with unfinished.scratch() as folder:
        nowhere = replace(lakehouse.settings, home=folder, warehouse_url=str(folder / "warehouse"))
        empty, names = Rehearsal(nowhere), columns_file(inputs.columns, use_case)
        for each in use_case.sources[: use_case.sources.index(source) + 1]:
            paths, carrier = load.resolve(use_case, each, inputs)
            job = LoadJob(empty, use_case, each, names, carrier, as_of, now, None, None)
            judged = load.judge(job, find_files(paths))
            rows, schema = judged.outcomes.new, table_schema(each, judged.identifiers)
            rows = rows.with_columns(pl.lit(1, pl.Int64).alias(LOADED_IN)).select(schema.names)
            empty.append(job.table, rows.to_arrow().cast(schema))
    stored = lakehouse.schema(use_case.raw_table(source))
    return pl.DataFrame(rows.to_arrow().select(stored.names).cast(stored))


def _prove(lakehouse: Lakehouse, table: str, damaged: Sequence[DamagedFile], lost: pl.DataFrame) -> None:
    """Raises NotRebuilt unless the rows found are as many as the log knew, from the same times."""
    expected = sum(file.num_records or 0 for file in damaged)
    actions = pl.DataFrame(pa.table(lakehouse.delta(table).get_add_actions(flatten=True)))
    actions = actions.filter(pl.col("path").is_in([file.path for file in damaged]))
    ends = [f"min.{KNOWN_AT}", f"max.{KNOWN_AT}"]
    differs = lost.height != expected
    if not differs and expected and set(ends) <= set(actions.columns):
        first, last = actions[ends[0]].min(), actions[ends[1]].max()
        found = lost[KNOWN_AT].min(), lost[KNOWN_AT].max()
        pairs = zip(found, (first, last), strict=True)
        differs = any(abs(_naive(a) - _naive(b)) > _ROUNDED for a, b in pairs if b is not None)
    if differs:
        raise NotRebuilt(
            f"{table}: expected the {expected:,} rows of its damaged files in the registered input, found "
            f"{lost.height:,} that fit; register the files that were loaded then (`evergreen inputs list` shows those "
            "of now) and repair again, or restore the table from a backup"
        )


def _with_loads(lakehouse: Lakehouse, table: str, damaged: Sequence[DamagedFile], lost: pl.DataFrame) -> pl.DataFrame:
    """Rebuilt rows with the number of the load that brought them, as the log knows it of each damaged file.

    Where it does not say, they bear the latest load of the table's rows, which the steps after it have seen too.
    """
    days, paths = lakehouse.files(table), [file.path for file in damaged]
    files = pl.DataFrame(pa.table(lakehouse.delta(table).get_add_actions(flatten=True)))
    load = pl.lit(files[f"max.{LOADED_IN}"].max(), pl.Int64)
    known = [f"{end}.{name}" for name in (LOADED_IN, KNOWN_AT) for end in ("min", "max")]
    if set(known) <= set(files.columns):
        known_at = pl.col(KNOWN_AT).dt.replace_time_zone(None)
        of_damaged = files.filter(pl.col("path").is_in(paths)).drop_nulls(known).sort(known[0])
        for path, least, most, first, last in of_damaged.select("path", *known).rows():
            among = known_at.is_between(_naive(first) - _ROUNDED, _naive(last) + _ROUNDED)
            if days[path] is not None:
                among &= pl.col(EVENT_DATE) == days[path]
            load = pl.when(among & pl.lit(least == most)).then(pl.lit(most, pl.Int64)).otherwise(load)
    return lost.with_columns(load.alias(LOADED_IN))


def _naive(moment: object) -> datetime:
    if not isinstance(moment, datetime):
        raise Invalid(f"expected a time, found {moment!r}; restore the table from a backup")
    return moment.replace(tzinfo=None)


def _replace(
    lakehouse: Lakehouse, table: str, sound: pl.DataFrame, lost: pl.DataFrame, days: Sequence[date] | None
) -> None:
    """Sound and rebuilt rows in place of the days, or of the table, in one commit."""
    schema, delta = lakehouse.schema(table), lakehouse.delta(table)
    rows = pl.concat([sound, lost]).to_arrow().cast(schema)
    where = None if days is None else of_days(days)
    arrow_writer.save(delta, rows.to_reader(), "overwrite", where, (), keeping(lakehouse.state(table)))
