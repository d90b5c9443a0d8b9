"""Wrong rows on hostile data: Evergreen's join and Feast's stock stores beside a brute-force oracle.

Composite keys that read alike when joined as text, ties in event and created time, late corrections, TTL edges, null
keys, duplicated entity rows. `python bench/hostile.py [--spark]`; --spark adds Feast's Spark store on Apache Spark.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_data as hostile
import pyarrow as pa
import pyarrow.parquet as pq
from common import REPORTS

REPORT = REPORTS / "hostile.json"
ROWS = 1_500
FEATURE_REFS = ["stats:x", "stats:y"]


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    """Rows as text, nulls of every library alike, so that duplicates and losses count too."""
    return Counter("|".join(f"{name}={_text(row.get(name))}" for name in ("note", "x", "y")) for row in rows)


def _text(value: Any) -> str:
    if value is None or value != value or str(value) in ("<NA>", "NaT"):
        return "null"
    return str(float(value)) if not isinstance(value, str) else value


def wrong(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> int:
    """Rows that are missing plus rows that should not be there."""
    a, b = counted(found), counted(expected)
    return (a - b).total() + (b - a).total()


def feast_store(folder: Path, offline: dict[str, Any], source: Any) -> Any:
    """A fresh Feast repo with one view over `source`."""
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.types import Float64, Int64

    folder.mkdir(parents=True)
    config = RepoConfig(
        project="hostile", provider="local", registry=str(folder / "registry.db"), repo_path=folder,
        online_store={"type": "sqlite", "path": str(folder / "online.db")}, offline_store=offline,
        entity_key_serialization_version=3,
    )  # fmt: skip
    one = Entity(name="one", join_keys=["one"], value_type=ValueType.INT64)
    two = Entity(name="two", join_keys=["two"], value_type=ValueType.STRING)
    fields = [Field(name="x", dtype=Float64), Field(name="y", dtype=Int64)]
    store = FeatureStore(config=config)
    store.apply(
        [one, two, FeatureView(name="stats", entities=[one, two], ttl=hostile.TTL, schema=fields, source=source)]
    )
    return store


def history(store: Any, asked: pa.Table, known_only: bool) -> list[dict[str, Any]]:
    frame = asked.to_pandas().astype({"one": "Int64"})
    options = {"filter_by_created_timestamp": True} if known_only else {}
    job = store.get_historical_features(entity_df=frame, features=FEATURE_REFS, **options)
    rows: list[dict[str, Any]] = job.to_df().to_dict("records")
    return rows


def contenders(folder: Path, asked: pa.Table, known: pa.Table) -> dict[str, Callable[[bool], list[dict[str, Any]]]]:
    """Name -> what it answers, with or without the condition on the created time."""
    from feast import FileSource
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.table_format import DeltaFormat

    pq.write_table(known, folder / "features.parquet")
    from deltalake import write_deltalake

    write_deltalake(folder / "features", known)
    times: dict[str, Any] = {"timestamp_field": "event", "created_timestamp_column": "created"}
    file = FileSource(name="file", path=str(folder / "features.parquet"), **times)
    delta = SparkSource(name="delta", path=str(folder / "features"), table_format=DeltaFormat(), **times)
    ours = {"type": "jobs.feature_store.offline_store.LakehouseOfflineStore", "home": str(folder / "home")}

    def evergreen(known_only: bool) -> list[dict[str, Any]]:
        options = ours | {"filter_by_created_timestamp": known_only}
        return history(feast_store(folder / f"evergreen{known_only}", options, delta), asked, known_only)

    def stock(kind: str) -> Callable[[bool], list[dict[str, Any]]]:
        return lambda known_only: history(
            feast_store(folder / f"{kind}{known_only}", {"type": kind}, file), asked, known_only
        )

    return {"Evergreen on Sail": evergreen, "Feast Dask store": stock("dask"), "Feast DuckDB store": stock("duckdb")}


def on_spark(folder: Path, asked: pa.Table, known: pa.Table) -> dict[str, Callable[[bool], list[dict[str, Any]]]]:
    """The SQL of Feast's Spark store, run on a real Apache Spark."""
    from feast.infra.offline_stores.contrib.spark_offline_store.spark import MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN
    from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext, build_point_in_time_query
    from pyspark.sql.connect.session import SparkSession

    from jobs.lakehouse import spark_server

    root = Path(__file__).parent.parent
    prepared = spark_server.prepare(root / ".cache", root / "requirements.lock")
    running = spark_server.start(prepared, port=None, warehouse=folder / "spark", log_dir=folder / "log")

    def stock(known_only: bool) -> list[dict[str, Any]]:
        spark = SparkSession.builder.remote(running.url).create()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        spark.createDataFrame(asked).createOrReplaceTempView("asked")
        spark.createDataFrame(known).createOrReplaceTempView("known")
        context = FeatureViewQueryContext(
            name="stats", ttl=int(hostile.TTL.total_seconds()), entities=hostile.KEYS, features=hostile.COLUMNS,
            field_mapping={}, timestamp_field="event", created_timestamp_column="created", table_subquery="known",
            entity_selections=[f"{key} AS {key}" for key in hostile.KEYS], min_event_timestamp="2020-01-01T00:00:00",
            max_event_timestamp="2030-01-01T00:00:00", date_partition_column=None, timestamp_field_type=None,
        )  # fmt: skip
        query = build_point_in_time_query(
            [context], "asked", "event_timestamp", dict.fromkeys(asked.column_names).keys(),
            MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN, False, known_only,
        )  # fmt: skip
        *_, last = [spark.sql(statement) for statement in query.split("---EOS---")]
        rows: list[dict[str, Any]] = last.toArrow().to_pylist()
        return rows

    def stopped(_: Any) -> list[dict[str, Any]]:
        running.stop()
        return []

    return {"Feast Spark store": stock, "": stopped}


def measured(
    ask: Callable[[bool], list[dict[str, Any]]], known_only: bool, expected: list[dict[str, Any]]
) -> int | str:
    """Wrong rows, or why there is no answer."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return wrong(ask(known_only), expected)
    except Exception as error:  # a stock store may fail in any way: that is the finding
        return f"fails: {type(error).__name__}: {' '.join(str(error).split())[:90]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spark", action=argparse.BooleanOptionalAction, default=shutil.which("java") is not None,
        help="also Feast's Spark store on Apache Spark (default: if there is Java)",
    )  # fmt: skip
    parser.add_argument("--data", help="not used: the data are made to be hostile")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="evergreen-bench-"))
    rng = random.Random(7)
    known = hostile.features(rng)
    asked = hostile.entities(rng, known, ROWS)
    tables = (
        pa.Table.from_pylist(asked, schema=hostile.ENTITY_SCHEMA),
        pa.Table.from_pylist(known, schema=hostile.FEATURE_SCHEMA),
    )
    expected = {flag: hostile.answers(asked, known, hostile.TTL, flag) for flag in (True, False)}
    result: dict[str, Any] = {}
    try:
        every = contenders(folder, *tables) | (on_spark(folder, *tables) if options.spark else {})
        stop = every.pop("", None)
        for name, ask in every.items():
            result[name] = {
                "knowledge time": measured(ask, True, expected[True]),
                "event time only": measured(ask, False, expected[False]),
            }
        if stop:
            stop(True)
    finally:
        from jobs import settings
        from jobs.lakehouse import engine

        engine.stop(settings.load({"EVERGREEN_HOME": str(folder / "home")}))
        shutil.rmtree(folder, ignore_errors=True)
    report = {"entity_rows": ROWS, "feature_rows": len(known), "wrong_rows": result}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrong or missing rows of {ROWS:,} (over {len(known):,} feature rows), with and without knowledge time")
    for name, counts in result.items():
        print(f"  {name:20} {counts['knowledge time']!s:>6}   {counts['event time only']!s:>6}")
    if any(result["Evergreen on Sail"].values()):
        raise SystemExit("Evergreen's own join is wrong")


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stdout.flush()
    os._exit(0)
