"""Homes that the decision service starts from: tables of events and labels up to a moment, and a model in service.

They are written without the lineage, which takes minutes. The model is of the size of a champion, and of the same
features; what it says is of no meaning here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import write_deltalake
from online import DAY, REPORTED, WINDOWS, since
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA

from jobs.decisions import base_tables
from jobs.lakehouse.tables import attach
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.promotion import export_onnx
from jobs.registry import bundle
from jobs.registry.bundle import NUMBER, Bundle, Manifest
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

PARAMETERS = {"rounds": 105, "num_leaves": 10, "min_data_in_leaf": 11, "learning_rate": 0.03}
"""Those of the champion of the simulated payments."""
ROWS = 4000
VERSIONS = (1, 2)


@dataclass(frozen=True)
class Day:
    """A home with tables up to a day, and the payments of that day."""

    settings: Settings
    payments: list[dict[str, Any]]
    ends: datetime

    def copy(self, folder: Path) -> Settings:
        """The same home without decisions, to be served."""
        shutil.copytree(self.settings.home, folder)
        return Settings(home=folder)

    @property
    def as_of(self) -> tuple[str, str]:
        """Options of a server for which the day is just over."""
        return "--as-of", f"{self.ends:%Y-%m-%dT%H:%M:%S}"


def of_day(frame: pl.DataFrame, folder: Path) -> Day:
    """Tables up to the last day of a file of payments that is whole, and its payments."""
    latest: Any = frame["tx_datetime"].max()
    first = (latest + 1) // DAY * DAY - (0 if (latest + 1) % DAY > DAY * 0.99 else DAY)
    settings = Settings(home=folder)
    past = since(frame, first).filter(pl.col("tx_datetime") < first)
    write(settings, past, past.filter(pl.col("tx_datetime") + REPORTED < first))
    put_models(settings, folder.with_name("bundles"))
    day = frame.filter(pl.col("tx_datetime").is_between(first, first + DAY, closed="left"))
    ends = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=first + DAY)
    return Day(settings, day.rows(named=True), ends)


def write(settings: Settings, events: pl.DataFrame, labels: pl.DataFrame) -> None:
    """The marts of the fraud use case; labels became known some days after their events."""
    time = pl.from_epoch("tx_datetime", "us").dt.replace_time_zone("UTC")
    shared: dict[str, Any] = {
        "tx_datetime": time, "superseded_at": None, "loaded_in": 1, "version": 1, "event_date": time.dt.date(),
        "first_event_date": time.dt.date(),
    }  # fmt: skip
    reported = time + timedelta(microseconds=REPORTED)
    _put(settings, FRAUD.events, events.with_columns(known_at=time, **shared), EVENT_SCHEMA)
    _put(settings, FRAUD.labels, labels.with_columns(known_at=reported, **shared), LABEL_SCHEMA)


def _put(settings: Settings, table: str, frame: pl.DataFrame, schema: pa.Schema) -> None:
    rows = frame.select(schema.names).to_arrow().cast(schema)
    write_deltalake(attach(settings).path(table), rows, mode="overwrite", partition_by=["event_date"])


def put_models(settings: Settings, folder: Path) -> None:
    """Two models of a champion's size, of which the first is in service."""
    for version in reversed(VERSIONS):
        made = _bundle(settings, folder / str(version), seed=version)
        rows = _rows(len(made.manifest.names), version)
        export_onnx.export(settings, FRAUD, version, made, rows, np.arange(len(rows)) % 7 == 0)


def put_pointer(settings: Settings, version: int) -> None:
    """Let a model that was exported be in service."""
    folder = export_onnx.root(settings, FRAUD) / str(version)
    export_onnx.restore(settings, FRAUD, version, export_onnx.open_export(folder).bundle.sha256)


def _bundle(settings: Settings, folder: Path, seed: int) -> Bundle:
    lakehouse = attach(settings)
    rows = base_tables.feature_row(lakehouse, FRAUD, base_tables.current_versions(lakehouse, FRAUD))
    windows = {name for features in WINDOWS for name in features.names}
    made = {name for function in FRAUD.request_features for name in function.outputs}
    names = tuple(name for name in rows.names if name in windows | made | {"tx_amount"})
    values, chance = _rows(len(names), seed), np.random.default_rng(seed)
    labels = values[:, 0] + values[:, 1] + chance.normal(size=ROWS) > 1
    model = new_model("boosted", PARAMETERS)
    model.fit(Examples(values, labels, None, names), None, seed=seed, device="cpu")
    kinds = tuple((name, NUMBER) for name in names)
    return bundle.write(folder, model, Manifest("fraud", "boosted", kinds, 0.5, "2026-01-01T00:00:00+00:00", {}))


def _rows(width: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(ROWS, width)).astype(np.float32)
