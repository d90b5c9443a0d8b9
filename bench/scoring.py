"""Batch scoring, Delta in, Delta out, features already joined, against a bare single-threaded ONNX Runtime loop.

The loop runs over the same rows as Arrow batches in memory and keeps nothing. The engine reads, scores and writes id,
day, score and decision, and in a second turn the features too, as the prediction log has them: `with_features`. What
reading and writing cost at least, the same loop shows from the same Delta table to another, in one process without an
engine: `_without_engine`.
`python bench/scoring.py [--large]`.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pyarrow as pa
from common import REPORTS, best
from deltalake import DeltaTable, write_deltalake

from jobs import settings
from jobs.datasets import event_rows
from jobs.lakehouse import arrow_writer, engine
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import PARTITION, Lakehouse, attach
from jobs.models.catalog import new_model
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples
from jobs.models.runtime import INPUT, OUTPUT, score
from jobs.registry import bundle
from jobs.registry.bundle import GRAPH, Bundle, Manifest
from jobs.scoring.batch import score_frame, writable
from jobs.scoring.decided_columns import DECISION, SCORE
from jobs.scoring.scoring_kernel import matrix, scorer

REPORT = REPORTS / "scoring.json"
NAMES = tuple(f"f{n}" for n in range(15))
KEPT = ("id", PARTITION)
MILLION, DAYS = 1_000_000, 10
BATCHES = (8_192, 32_768, 131_072)
"""Rows per call of the bare loop; its best is taken."""


class SmallNetwork:
    """15 -> 16 -> 1 with ReLU, random weights: as little work per row as a network can be."""

    def to_onnx(self) -> Any:
        rng, graph = np.random.default_rng(0), Graph()
        filled = graph.node("Where", graph.node("IsNaN", INPUT), graph.constant("zero", np.float32(0)), INPUT)
        first = graph.constant("w1", rng.normal(size=(len(NAMES), 16)).astype(np.float32) / 4)
        second = graph.constant("w2", rng.normal(size=(16, 1)).astype(np.float32) / 4)
        hidden = graph.node("Relu", graph.node("MatMul", filled, first))
        logit = graph.node("Squeeze", graph.node("MatMul", hidden, second), graph.constant("last", [1]))
        graph.node("Sigmoid", logit, name=OUTPUT)
        return graph.model(NAMES)

    def save(self, folder: Path) -> None:
        folder.mkdir()


def models(folder: Path) -> dict[str, Bundle]:
    features = rows(50_000, 0)
    labels = features[:, 0] + features[:, 1] > 1.5
    found: dict[str, Any] = {"network": SmallNetwork()}
    for family, parameters in (("logistic", {}), ("boosted", {"rounds": 100, "num_leaves": 31})):
        found[family] = new_model(family, parameters)
        found[family].fit(Examples(features, labels, None, NAMES), None, seed=0, device="cpu")
    described = tuple((name, "float32") for name in NAMES)
    return {
        name: bundle.write(folder / name, model, Manifest("bench", name, described, 0.5, "2026-03-01", {}))
        for name, model in found.items()
    }


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, len(NAMES))).astype(np.float32)


def write(path: str, millions: int) -> None:
    """A million rows per commit, ten days in each."""
    for part in range(millions):
        features = rows(MILLION, part)
        days = np.array([date(2026, 3, 1) + timedelta(days=n) for n in range(DAYS)], dtype="datetime64[D]")
        columns = {"id": np.arange(MILLION) + part * MILLION, PARTITION: np.repeat(days, MILLION // DAYS)}
        columns |= {name: features[:, position] for position, name in enumerate(NAMES)}
        write_deltalake(path, pa.table(columns), mode="append", partition_by=[PARTITION])


def bare(model: Bundle, batches: list[pa.RecordBatch]) -> None:
    runtime = model.session()
    for batch in batches:
        score(runtime, matrix(batch, NAMES))


def ours(lakehouse: Lakehouse, model: Bundle, source: str, kept: tuple[str, ...] = KEPT) -> None:
    scored = score_frame(lakehouse, lakehouse.read(source), model, kept)
    schema = event_rows.schema(scored)
    rows = writable(lakehouse, scored, schema)
    lakehouse.write(f"bench.out{len(kept)}", rows, mode="overwrite", schema=schema, partition_by=[PARTITION])


def without_engine(lakehouse: Lakehouse, model: Bundle, source: str, kept: tuple[str, ...]) -> None:
    """The same work by Polars, which reads all rows at first, the bare loop and delta-rs, which writes as it scores."""
    table = pl.scan_delta(lakehouse.path(source)).collect().to_arrow()
    decided = [pa.field(SCORE, pa.float32()), pa.field(DECISION, pa.bool_())]
    schema = pa.schema([*(table.schema.field(name) for name in kept), *decided])
    run = scorer(model.read(GRAPH), model.manifest.files[GRAPH], NAMES, model.manifest.threshold, kept)
    rows = pa.RecordBatchReader.from_batches(schema, run(iter(table.to_batches(BATCHES[1]))))
    target = lakehouse.path(f"bench.without_engine{len(kept)}")
    arrow_writer.save(target, rows, "overwrite", None, [PARTITION], keeping({}))


@contextmanager
def engine_seen(home: settings.Settings) -> Iterator[dict[str, float]]:
    """The engine's process while something runs: `mib` it holds at most, `cpu` seconds."""
    process = psutil.Process(json.loads((home.home / "engine" / "server.json").read_text())["pid"])
    seen, done = {"mib": 0.0, "cpu": 0.0}, threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen["mib"] = max(seen["mib"], process.memory_info().rss / 2**20)

    watcher, before = threading.Thread(target=watch), process.cpu_times()
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
        after = process.cpu_times()
        seen["cpu"] = after.user + after.system - before.user - before.system


def checked(lakehouse: Lakehouse, model: Bundle) -> None:
    """What was written is what the bare loop says."""
    table = DeltaTable(lakehouse.path(f"bench.out{len(KEPT + NAMES)}"))
    written = table.to_pyarrow_table(filters=[(PARTITION, "=", date(2026, 3, 2))])
    features = np.column_stack([written[name].to_numpy() for name in NAMES])
    np.testing.assert_array_equal(written["score"].to_numpy(), score(model.session(), features))


def one_million(lakehouse: Lakehouse, model: Bundle, table: pa.Table) -> dict[str, Any]:
    """Best seconds of three turns, and the processors' time of one, which a busy machine changes less."""
    with_features = (*KEPT, *NAMES)
    ours(lakehouse, model, "bench.one", with_features)  # the first call loads the libraries
    checked(lakehouse, model)
    columns = {"scores": KEPT, "with_features": with_features}
    floors = {f"{name}_without_engine": kept for name, kept in columns.items()}
    work: dict[str, Any] = {name: partial(ours, lakehouse, model, "bench.one", kept) for name, kept in columns.items()}
    work |= {name: partial(without_engine, lakehouse, model, "bench.one", kept) for name, kept in floors.items()}
    for size in BATCHES:
        work[f"bare {size}"] = partial(bare, model, table.to_batches(size))
    seconds = best(work)
    bare_of = {size: seconds[f"bare {size}"] for size in BATCHES}
    fastest = min(bare_of, key=lambda size: bare_of[size])
    start = time.process_time()
    work[f"bare {fastest}"]()
    cpu = {"bare": time.process_time() - start}
    for name in (*columns, *floors):
        start = time.process_time()
        with engine_seen(lakehouse.settings) as seen:
            work[name]()
        cpu[name] = seen["cpu"] + time.process_time() - start
    found = {"bare": bare_of[fastest], **{name: seconds[name] for name in (*columns, *floors)}}
    return {
        "seconds": {name: round(value, 3) for name, value in found.items()},
        "cpu_seconds": {name: round(value, 3) for name, value in cpu.items()},
        "ratio_of_rows_per_second": {name: round(found["bare"] / found[name], 3) for name in (*columns, *floors)},
        "ratio_to_the_same_without_engine": {
            name: round(found[floor] / found[name], 3) for name, floor in zip(columns, floors, strict=True)
        },
    }


def ten_million(lakehouse: Lakehouse, model: Bundle, table: pa.Table, kept: tuple[str, ...]) -> dict[str, Any]:
    """Seconds and the engine's memory at 10 M rows, on a fresh engine that has seen 1 M rows."""
    engine.stop(lakehouse.settings)
    lakehouse.spark.range(1).collect()
    with engine_seen(lakehouse.settings) as small:
        ours(lakehouse, model, "bench.one", kept)
    with engine_seen(lakehouse.settings) as large:
        start = time.perf_counter()
        ours(lakehouse, model, "bench.ten", kept)
        seconds = time.perf_counter() - start
    batches = table.to_batches(BATCHES[1])
    floor = 10 * best({"bare": lambda: bare(model, batches)})["bare"]
    return {
        "seconds": round(seconds, 2),
        "bare_seconds": round(floor, 2),
        "engine_cpu_seconds": round(large["cpu"], 2),
        "ratio_of_rows_per_second": round(floor / seconds, 3),
        "engine_mib": {"1 M": round(small["mib"]), "10 M": round(large["mib"])},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the rows are random")
    parser.add_argument("--large", action="store_true", help="also 10 M rows, for the engine's memory")
    large = parser.parse_args().large
    folder = Path(tempfile.mkdtemp(prefix="evergreen-bench-"))
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    lakehouse = attach(home)
    result: dict[str, Any] = {"features": len(NAMES), "cores": os.cpu_count(), "one_million": {}}
    try:
        made = models(folder)
        write(lakehouse.path("bench.one"), 1)
        lakehouse.spark.range(1).collect()
        table = lakehouse.to_arrow("bench.one").combine_chunks()
        for name, model in made.items():
            result["one_million"][name] = one_million(lakehouse, model, table)
            print(name, json.dumps(result["one_million"][name]), flush=True)
        if large:
            write(lakehouse.path("bench.ten"), 10)
            result["ten_million"] = {
                name: ten_million(lakehouse, made[name.split()[0]], table, kept)
                for name, kept in {
                    "network": KEPT, "network with_features": (*KEPT, *NAMES), "boosted": KEPT,
                }.items()
            }  # fmt: skip
        result["load"] = [round(value, 1) for value in os.getloadavg()]
        REPORT.write_text(json.dumps(result, indent=2) + "\n")
        print(json.dumps(result, indent=2))
    finally:
        engine.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
    # The client's channel may outlive the engine it talked to and would hold the process.
    os._exit(0)
