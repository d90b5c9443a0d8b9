"""12 sliding windows over card payments: Evergreen next to the embedded engine, DuckDB's SQL and Polars, side by side.

Count and mean over 1, 7 and 30 days, per customer and per terminal. `python bench/windows.py [--data FILE]`.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from common import REPORTS, ratios, runs, simulated, spread
from deltalake import write_deltalake

from jobs import settings
from jobs.features import window_runs
from jobs.lakehouse import arrow_writer, engine
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.windows import Aggregate, WindowFeatures

REPORT = REPORTS / "windows.json"
DAYS = (1, 7, 30)
ENTITIES = ("customer_id", "terminal_id")


def payments(data: Path) -> pl.DataFrame:
    frame = pl.read_parquet(data)
    frame = frame.rename({name: name.lower() for name in frame.columns})
    ids = ["transaction_id", *ENTITIES]
    return frame.select(
        *[pl.col(name).cast(pl.Int64) if frame.schema[name].is_integer() else pl.col(name) for name in ids],
        pl.col("tx_datetime").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        pl.col("tx_amount").cast(pl.Float64),
    ).with_columns(
        known_at=pl.col("tx_datetime"),
        superseded_at=pl.lit(None, pl.Datetime("us", "UTC")),
        version=pl.lit(1, pl.Int32),
        event_date=pl.col("tx_datetime").dt.date(),
    )


def declared(entity: str) -> WindowFeatures:
    windows = tuple(timedelta(days=days) for days in DAYS)
    aggregates = (Aggregate("count", windows=windows, name="n"), Aggregate("mean", "tx_amount", windows, name="mean"))
    return WindowFeatures(f"{entity}_windows", entity, "transaction_id", "tx_datetime", aggregates)


def read(lakehouse: Lakehouse) -> pl.LazyFrame:
    """The facts of both entities, read once for both, as the others do, and in one piece."""
    scan = lakehouse.scan("bench.transactions")
    assert scan is not None
    names = ("transaction_id", *ENTITIES, "tx_datetime", "tx_amount", "known_at", "superseded_at", "version")
    return scan.select(*names).collect().rechunk().lazy()


def evergreen(lakehouse: Lakehouse) -> None:
    events = read(lakehouse)
    for entity in ENTITIES:
        rows = window_runs.run(lakehouse, declared(entity), events)
        lakehouse.write(f"bench.{entity}", rows, mode="overwrite", schema=declared(entity).schema())


def floor(lakehouse: Lakehouse, results: dict[str, pa.Table]) -> None:
    """The facts read, and the same results written, with nothing computed between."""
    read(lakehouse)
    for entity, rows in results.items():
        target = lakehouse.path(f"bench.{entity}_floor")
        arrow_writer.save(target, rows.to_reader(), "overwrite", None, [], keeping({}))


def sql() -> str:
    windows, columns = [], []
    for entity in ENTITIES:
        for days in DAYS:
            name = f"{entity[0]}{days}"
            between = f"between interval {days} days - interval 1 microsecond preceding and current row"
            windows.append(f"{name} as (partition by {entity} order by tx_datetime range {between})")
            columns.append(f"count(*) over {name} as {entity}_n_{days}d")
            columns.append(f"avg(tx_amount) over {name} as {entity}_mean_{days}d")
    return f"select transaction_id, {', '.join(columns)} from payments window {', '.join(windows)}"


def rolling(frame: pl.LazyFrame) -> pl.LazyFrame:
    payments = frame.sort("tx_datetime")
    columns = []
    for entity in ENTITIES:
        for days in DAYS:
            amount = pl.col("tx_amount")
            count = (amount * 0 + 1).rolling_sum_by("tx_datetime", f"{days}d")
            mean = amount.rolling_mean_by("tx_datetime", f"{days}d")
            columns.append(count.over(entity).alias(f"{entity}_n_{days}d"))
            columns.append(mean.over(entity).alias(f"{entity}_mean_{days}d"))
    return payments.select("transaction_id", *columns)


def polars_delta(table: str, target: Path) -> None:
    """With the encodings and the compression of our own tables."""
    rows = rolling(pl.scan_delta(table)).collect()
    options = {"writer_properties": arrow_writer.properties(rows.to_arrow().schema)}
    rows.write_delta(str(target), mode="overwrite", delta_write_options=options)


def differences(lakehouse: Lakehouse, folder: Path) -> dict[str, float]:
    """Largest relative difference of our values to DuckDB's, per kind of column; counts must not differ at all."""
    theirs = pl.read_parquet(folder / "duckdb.parquet").sort("transaction_id")
    found = {"n": 0.0, "mean": 0.0}
    for entity in ENTITIES:
        ours = pl.read_delta(lakehouse.path(f"bench.{entity}")).sort("transaction_id")
        assert ours["transaction_id"].equals(theirs["transaction_id"]), f"{entity}: other rows than DuckDB's"
        for name in found:
            for days in DAYS:
                a, b = ours[f"{name}_{days}d"], theirs[f"{entity}_{name}_{days}d"]
                found[name] = max(found[name], float(((a - b).abs() / b.abs().clip(1e-9)).to_numpy().max()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="parquet file of payments with the handbook's columns")
    folder = Path(tempfile.mkdtemp(prefix="evergreen-bench-"))
    frame = payments(parser.parse_args().data or simulated(folder / "world")["transactions"])
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    lakehouse = attach(home)
    write_deltalake(lakehouse.path("bench.transactions"), frame.to_arrow(), partition_by=["event_date"])
    database = duckdb.connect()
    database.execute("create table payments as select * from frame")
    try:
        lakehouse.spark.range(1).collect()
        evergreen(lakehouse)
        results = {entity: lakehouse.to_arrow(f"bench.{entity}") for entity in ENTITIES}
        work: dict[str, Callable[[], object]] = {
            "evergreen": lambda: evergreen(lakehouse),
            "floor": lambda: floor(lakehouse, results),
            "duckdb": lambda: database.execute(f"copy ({sql()}) to '{folder}/duckdb.parquet'"),
            "polars": lambda: rolling(frame.lazy()).sink_parquet(folder / "polars.parquet"),
            "polars, delta": lambda: polars_delta(lakehouse.path("bench.transactions"), folder / "polars"),
        }
        rounds, processors = runs(work), runs(work, clock=time.process_time)
        seconds = {name: min(times) for name, times in rounds.items()}
        largest = differences(lakehouse, folder)
    finally:
        engine.stop(home)
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "rows": frame.height,
        "cores": os.cpu_count(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "processor_seconds": {name: spread(times) for name, times in processors.items()},
        "ratio_to_duckdb": round(seconds["evergreen"] / seconds["duckdb"], 3),
        "ratio_to_duckdb_by_round": ratios(rounds, "evergreen", "duckdb"),
        "ratio_to_polars_delta_by_round": ratios(rounds, "evergreen", "polars, delta"),
        "ratio_of_the_floor_to_duckdb_by_round": ratios(rounds, "floor", "duckdb"),
        "ratio_of_processor_seconds_to_duckdb_by_round": ratios(processors, "evergreen", "duckdb"),
        "ratio_of_processor_seconds_to_polars_delta_by_round": ratios(processors, "evergreen", "polars, delta"),
        "largest_relative_difference": largest,
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{'12 windows over ' + format(frame.height, ',') + ' rows':44} seconds  x DuckDB")
    labels = {
        "evergreen": "kernel in threads, Delta in, Delta out",
        "floor": "the same read and written, nothing computed",
        "duckdb": "DuckDB SQL RANGE windows, Parquet out",
        "polars": "Polars rolling_*_by, Parquet out",
        "polars, delta": "Polars rolling_*_by, Delta in, Delta out",
    }
    for name, label in labels.items():
        print(f"{label:44} {seconds[name]:7.2f}  {seconds[name] / seconds['duckdb']:8.2f}")
    print("evergreen over DuckDB, round by round:", result["ratio_to_duckdb_by_round"])
    print("evergreen over Polars on Delta, round by round:", result["ratio_to_polars_delta_by_round"])
    print("the same by processor seconds:", result["ratio_of_processor_seconds_to_duckdb_by_round"],
          result["ratio_of_processor_seconds_to_polars_delta_by_round"])  # fmt: skip
    print(f"counts differ by {largest['n']}, means by {largest['mean']:.1e} at most (relative)")


if __name__ == "__main__":
    main()
    # The client's channel may outlive the engine it talked to and would hold the process.
    os._exit(0)
