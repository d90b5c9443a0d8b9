"""Point-in-time join: Evergreen on the embedded engine and DuckDB's in-memory ASOF join, side by side; memory too.

`python bench/point_in_time.py [--rows 10000000] [--entity-rows 1000000] [--spark]`. Synthetic data: 50,000 keys over 60
days, 3 features, TTL 7 days. With --spark also on Apache Spark, beside Feast's stock Spark store.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import psutil
import pyarrow as pa
from common import REPORTS, best, ratios, runs
from deltalake import write_deltalake

from jobs import settings
from jobs.feature_store.point_in_time import Exchange, point_in_time_join
from jobs.feature_store.point_in_time_kernel import JoinRules
from jobs.lakehouse import engine
from jobs.lakehouse.tables import Lakehouse, attach

REPORT = REPORTS / "point_in_time.json"
KEYS, DAYS, TTL = 50_000, 60, timedelta(days=7)
FEATURES = ["f1", "f2", "f3"]
START = 1_767_225_600_000_000
TIME = pa.timestamp("us", "UTC")


def tables(rows: int, entity_rows: int) -> tuple[pa.Table, pa.Table]:
    """Entity rows and feature rows; a feature row is known up to an hour after its event."""
    rng = np.random.default_rng(0)

    def moments(n: int) -> Any:
        return START + rng.integers(0, DAYS * 86_400, n) * 1_000_000

    event = moments(rows)
    features = {"key": rng.integers(0, KEYS, rows), "event": pa.array(event).cast(TIME)}
    features["created"] = pa.array(event + rng.integers(0, 3_600, rows) * 1_000_000).cast(TIME)
    features |= {name: rng.random(rows) for name in FEATURES}
    entities = {"key": rng.integers(0, KEYS, entity_rows), "t": pa.array(moments(entity_rows)).cast(TIME)}
    return pa.table({**entities, "row": np.arange(entity_rows)}), pa.table(features)


def joined(house: Lakehouse, created: bool) -> Any:
    rules = JoinRules(
        keys=["key"], event_timestamp="t", feature_timestamp="event", created_timestamp="created" if created else None,
        ttl=TTL, columns=FEATURES,
    )  # fmt: skip
    return point_in_time_join(
        house.read("bench.entities"), house.read("bench.features"), rules,
        exchange=Exchange(house.kernel), files=house.data_files("bench.features"),
    )  # fmt: skip


def evergreen(house: Lakehouse, target: Path, created: bool = False) -> None:
    joined(house, created).write.format("delta").mode("overwrite").save(str(target))


def asof(database: Any, target: Path) -> None:
    """DuckDB knows no TTL and no knowledge time: the first is applied afterwards, the second left out."""
    fresh = ", ".join(f"case when e.t - f.event <= interval 7 day then f.{name} end as {name}" for name in FEATURES)
    database.execute(
        f"copy (select e.*, {fresh} from entities e asof left join features f "
        f"on e.key = f.key and e.t >= f.event) to '{target}'"
    )


def open_house(folder: Path, entities: pa.Table, features: pa.Table, **environment: str) -> Lakehouse:
    house = attach(settings.load({"EVERGREEN_HOME": str(folder), **environment}))
    write_deltalake(house.path("bench.entities"), entities, mode="overwrite")
    write_deltalake(house.path("bench.features"), features, mode="overwrite")
    house.spark.range(1).collect()
    return house


def peak_megabytes(folder: Path) -> float:
    """Largest memory the engine's process ever had."""
    pid = json.loads((folder / "engine" / "server.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return psutil.Process(pid).memory_info().rss / 2**20
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) / 1024


def one_size(folder: Path, rows: int, entity_rows: int) -> dict[str, Any]:
    entities, features = tables(rows, entity_rows)
    house = open_house(folder, entities, features)
    database = duckdb.connect()
    database.execute("create table entities as from entities")
    database.execute("create table features as select key, event, f1, f2, f3 from features")
    out, theirs = folder / "joined", folder / "duckdb.parquet"
    try:
        at_rest = peak_megabytes(folder)
        rounds = runs({"evergreen": lambda: evergreen(house, out), "duckdb": lambda: asof(database, theirs)})
        seconds = {name: min(times) for name, times in rounds.items()}
        peak = peak_megabytes(folder)
        different = disagreements(out, theirs, features)
        seconds |= best({"evergreen, knowledge time": lambda: evergreen(house, out, created=True)}, 2)
        peak_known = peak_megabytes(folder)
    finally:
        engine.stop(house.settings)
        database.close()
    return {
        "feature_rows": rows,
        "entity_rows": entity_rows,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "ratio_to_duckdb": round(seconds["evergreen"] / seconds["duckdb"], 3),
        "ratio_to_duckdb_by_round": ratios(rounds, "evergreen", "duckdb"),
        "engine_megabytes": {
            "at_rest": round(at_rest),
            "peak": round(peak),
            "peak_with_knowledge_time": round(peak_known),
        },
        "other_than_duckdb": different,
    }


def disagreements(ours: Path, theirs: Path, features: pa.Table) -> dict[str, int]:
    """Rows where we differ from DuckDB, and how many of them have several feature rows at the winning event time.

    Of those DuckDB takes any, we always the same.
    """
    a, b = pl.read_delta(str(ours)).sort("row"), pl.read_parquet(theirs).sort("row")
    assert a["row"].equals(b["row"]), "rows were lost or multiplied"
    differ = a.with_columns(theirs=b["f1"]).filter(pl.col("f1").ne_missing(pl.col("theirs"))).select("row", "key", "t")
    seen = pl.DataFrame(features.select(["key", "event"])).join(differ, on="key").filter(pl.col("event") <= pl.col("t"))
    last = seen.filter(pl.col("event") == pl.col("event").max().over("row")).group_by("row").len()
    return {"rows": differ.height, "ties": last.filter(pl.col("len") > 1).height}


def on_spark(folder: Path, rows: int, entity_rows: int) -> dict[str, Any]:
    """Ours and Feast's stock store on one Apache Spark `local[2]`; each from its own server."""
    from jobs.lakehouse import spark_server

    root = Path(__file__).parent.parent
    prepared = spark_server.prepare(root / ".cache", root / "requirements.lock")
    running = spark_server.start(prepared, port=None, warehouse=folder / "spark", log_dir=folder / "log")
    entities, features = tables(rows, entity_rows)
    try:
        house = open_house(folder / "on_spark", entities, features, SPARK_REMOTE=running.url)
        ours = best({"evergreen": lambda: evergreen(house, folder / "spark_joined")}, 2)
        stock = stock_query(house, folder / "stock")
    finally:
        running.stop()
    embedded = pl.read_delta(str(folder / "spark_joined")).sort("row")
    oracle = _joined_by_duckdb(entities, features)
    different = embedded.height - embedded.join(oracle, on=["row", "f1"], how="semi", nulls_equal=True).height
    return {
        "feature_rows": rows, "entity_rows": entity_rows, "evergreen": round(ours["evergreen"], 1), **stock,
        "times_faster": round(stock["feast stock store"] / ours["evergreen"], 2), "rows_other_than_duckdb": different,
    }  # fmt: skip


def _joined_by_duckdb(entities: pa.Table, features: pa.Table) -> pl.DataFrame:
    with duckdb.connect() as database, tempfile.TemporaryDirectory() as scratch:
        database.register("entities", entities)
        database.register("features", features)
        asof(database, Path(scratch) / "joined.parquet")
        return pl.read_parquet(Path(scratch) / "joined.parquet")


def stock_query(house: Lakehouse, target: Path) -> dict[str, Any]:
    """The SQL of Feast's stock Spark store for the same join; its store itself cannot speak Spark Connect."""
    from feast.infra.offline_stores.contrib.spark_offline_store.spark import MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN
    from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext, build_point_in_time_query

    spark = house.spark
    house.read("bench.entities").createOrReplaceTempView("stock_entities")
    house.read("bench.features").createOrReplaceTempView("stock_features")
    context = FeatureViewQueryContext(
        name="stats", ttl=int(TTL.total_seconds()), entities=["key"], features=FEATURES, field_mapping={},
        timestamp_field="event", created_timestamp_column=None, table_subquery="stock_features",
        entity_selections=["key AS key"], min_event_timestamp="2025-12-01T00:00:00",
        max_event_timestamp="2026-12-31T00:00:00", date_partition_column=None, timestamp_field_type=None,
    )  # fmt: skip
    query = build_point_in_time_query(
        [context], "stock_entities", "t", {"key": 0, "t": 0, "row": 0}.keys(), MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN
    )
    start = time.perf_counter()
    *_, last = [spark.sql(statement) for statement in query.split("---EOS---")]
    last.write.format("delta").mode("overwrite").save(str(target))
    seconds = time.perf_counter() - start
    return {
        "feast stock store": round(seconds, 1),
        "rows it returned": pl.scan_delta(str(target)).select(pl.len()).collect().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="feature rows of the large size")
    parser.add_argument("--entity-rows", type=int, default=1_000_000)
    parser.add_argument(
        "--spark", action=argparse.BooleanOptionalAction, default=shutil.which("java") is not None,
        help="also on Apache Spark, beside Feast's stock store (default: if there is Java)",
    )  # fmt: skip
    parser.add_argument("--spark-rows", type=int, default=2_000_000, help="feature rows there; a tenth of entity rows")
    parser.add_argument("--data", help="not used: the data are synthetic")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="evergreen-bench-"))
    try:
        sizes = [one_size(folder / str(n), n, options.entity_rows) for n in (options.rows // 10, options.rows)]
        spark = on_spark(folder, options.spark_rows, options.spark_rows // 10) if options.spark else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    growth = sizes[1]["engine_megabytes"]["peak"] / sizes[0]["engine_megabytes"]["peak"]
    result = {"cores": os.cpu_count(), "sizes": sizes, "memory_growth": round(growth, 2), "apache_spark": spark}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(result, indent=2) + "\n")
    show(result)


def show(result: dict[str, Any]) -> None:
    for size in result["sizes"]:
        print(f"{size['feature_rows']:,} feature rows x {size['entity_rows']:,} entity rows      seconds  x DuckDB")
        for name, seconds in size["seconds"].items():
            print(f"  {name:48} {seconds:7.2f}  {seconds / size['seconds']['duckdb']:8.2f}")
        print(f"  x DuckDB, round by round: {size['ratio_to_duckdb_by_round']}")
        print(f"  engine memory: {size['engine_megabytes']['peak']:,} MB at its peak; "
              f"{size['other_than_duckdb']['rows']:,} rows differ from DuckDB's, "
              f"{size['other_than_duckdb']['ties']:,} of them for a tie")  # fmt: skip
    print(f"ten times the feature rows need {result['memory_growth']} times the memory")
    if result["apache_spark"]:
        print("on Apache Spark:", ", ".join(f"{name}: {value}" for name, value in result["apache_spark"].items()))


if __name__ == "__main__":
    main()
    # The client's channel may outlive the engine it talked to and would hold the process.
    os._exit(0)
