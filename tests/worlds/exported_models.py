"""Exported models as `evergreen serve` finds them: small, of random rows; of fraud unless told otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.models.catalog import new_model
from jobs.models.features import FeatureRows, rows_of
from jobs.models.protocol import Examples
from jobs.promotion import export_onnx
from jobs.promotion.export_onnx import POINTER, OnlineModel
from jobs.registry import bundle
from jobs.registry.bundle import CATEGORY, NUMBER, Bundle, Manifest
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

NAMES = ("amount", "age", "shop")
OF_EVENTS = ("tx_amount", "customer_tx_count_1d", "hour_of_day")
"""Names of features that the decision service computes."""
SHOPS = ("corner", "mall", "Kiosk é", None)
ROWS = 400


def features(categories: bool, rows: int = ROWS, seed: int = 0) -> FeatureRows:
    """Two numbers, one of which is often missing, and a third number or the name of a shop."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 3)).astype(np.float32)
    numbers[rng.random(rows) < 0.2, 1] = np.nan
    if not categories:
        return numbers
    shops = pa.array([SHOPS[n] for n in rng.integers(0, len(SHOPS), rows)], pa.string())
    return rows_of((numbers[:, 0], numbers[:, 1], shops), rows, 3)


def made(
    folder: Path, seed: int = 0, categories: bool = False, names: tuple[str, ...] = NAMES, use_case: UseCase = FRAUD,
    threshold: float = 0.5,
) -> Bundle:  # fmt: skip
    """A bundle of a small model of trees; other seeds are other models. Names may be `OF_EVENTS`, scores of which are
    0.36 to 0.48."""
    rows = features(categories, seed=seed)
    values = rows if isinstance(rows, np.ndarray) else rows.values
    labels = np.nan_to_num(values[:, 0]) + np.random.default_rng(seed).normal(size=ROWS) > 0.5
    model = new_model("boosted", {"rounds": 10, "min_data_in_leaf": 5})
    model.fit(Examples(rows, labels, None, names), None, seed=seed, device="cpu")
    kinds = ((name, CATEGORY if categories and name == "shop" else NUMBER) for name in names)
    return bundle.write(
        folder, model, Manifest(use_case.name, "boosted", tuple(kinds), threshold, "2026-03-01T00:00:00+00:00", {})
    )


def export(
    settings: Settings, version: int, made: Bundle, categories: bool = False, use_case: UseCase = FRAUD
) -> OnlineModel:
    """Make a bundle the model in service, as the lineage does it."""
    rows = features(categories)
    return export_onnx.export(settings, use_case, version, made, rows, np.arange(ROWS) % 7 == 0)


def stage(settings: Settings, version: int, made: Bundle) -> OnlineModel:
    """Export a bundle of fraud beside the model in service."""
    return export_onnx.stage(settings, FRAUD, version, made, features(False), np.arange(ROWS) % 7 == 0)


def damage(settings: Settings, version: int) -> Path:
    """Flip a byte of an exported graph; returns a copy of the folder as it was."""
    folder = export_onnx.root(settings, FRAUD) / str(version)
    kept = folder.with_name(f"kept-{version}")
    shutil.copytree(folder, kept)
    graph = folder / export_onnx.BUNDLE / bundle.GRAPH
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(bytes(content))
    return kept


def touch_pointer(settings: Settings) -> None:
    """Let the pointer change without pointing elsewhere, as an export of the same model does."""
    pointer = export_onnx.root(settings, FRAUD) / POINTER
    content = pointer.read_bytes()
    pointer.unlink()
    pointer.write_bytes(content)
