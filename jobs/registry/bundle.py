"""A model as it is kept, promoted and served: one folder, named file by file with sha256 in its manifest.

    manifest.json     what it is; its own sha256 is the bundle's identity, which registry and ledger record
    model.onnx        the graph that is served, preprocessing inside
    model/            the model itself (`jobs.models`), to explain it or to go on training

Nothing is loaded from a folder before every hash holds, and nothing in it needs pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs import unfinished
from jobs.error_messages import in_words
from jobs.errors import EvergreenError, Invalid
from jobs.models.catalog import load_model
from jobs.models.features import FeatureRows, rows_of
from jobs.models.graphs import OPSET
from jobs.models.protocol import Model
from jobs.models.runtime import CATEGORIES, INPUT
from jobs.models.vectors import column_of, lengths_of
from jobs.tasks.catalog import of_stored
from jobs.tasks.task import Task

if TYPE_CHECKING:
    import onnxruntime

MANIFEST, GRAPH, MODEL = "manifest.json", "model.onnx", "model"
FORMAT = 1
NUMBER, CATEGORY = "float32", "string"
"""Types of features."""


class BundleError(EvergreenError, ValueError):
    """A bundle that must not be used: incomplete, changed, or not the one that was meant."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself."""

    use_case: str
    family: str
    features: tuple[tuple[str, str], ...]
    """Name and type of each feature, in the order of the model: "float32", or "string" of a category. The graph takes
    either kind in that order (`jobs.models.runtime`). Each element of a vector is a feature (`jobs.models.vectors`)."""
    threshold: float
    """A score that reaches it is a positive decision."""
    as_of: str
    """ISO moment that the training knew the world at."""
    training: Mapping[str, Any]
    """Where the model came from: run, table versions, parameters, seed, code revision, hash of the lock."""
    opset: int = OPSET
    format: int = FORMAT
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the bundle -> sha256; filled in by `write`."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """What the model learned, as `Task.stored` returned it; empty: yes or no, by average precision."""
    interval: Mapping[str, Any] = field(default_factory=dict)
    """Around a regression's predictions, as `jobs.tasks.intervals.Interval.stored` returned it; empty: none."""
    block: float | None = None
    """Score from which on the decision service blocks an event at once (`jobs.problem.Review.block`)."""

    @property
    def learned(self) -> Task:
        """What the model learned, with its classes."""
        return of_stored(self.task)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.features)

    @property
    def columns(self) -> Mapping[str, str]:
        """Column of a table that holds features -> "float32", "string", or, of a vector of 8, "float32[8]"."""
        lengths = lengths_of(self.names)
        of_columns = {column_of(name): kind for name, kind in self.features}
        return {name: f"{NUMBER}[{lengths[name]}]" if name in lengths else kind for name, kind in of_columns.items()}

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """The inputs of the graph that there are, with name, type and shape: `input` of the numbers, `categories`."""
        categories = len(self.categories)
        numbers = len(self.features) - categories
        of_numbers = {"input": {"name": INPUT, "type": NUMBER, "shape": [-1, numbers]}} if numbers else {}
        of_texts = {"categories": {"name": CATEGORIES, "type": CATEGORY, "shape": [-1, categories]}}
        return of_numbers | (of_texts if categories else {})

    def blank_row(self) -> FeatureRows:
        """One row that misses every feature."""
        missing = {NUMBER: np.full(1, np.nan, np.float32), CATEGORY: pa.nulls(1, pa.string())}
        return rows_of((missing[kind] for _, kind in self.features), 1, len(self.features))

    @property
    def categories(self) -> frozenset[str]:
        """Names of the features that are categories."""
        return frozenset(name for name, kind in self.features if kind == CATEGORY)

    @property
    def learned_until(self) -> datetime:
        """The time of the latest event that the model may have learned from.

        Whatever kept a judged window apart learned from what was mature before it; a challenger keeps none.
        """
        windows = self.training.get("windows")
        if "learned_until" in self.training:
            return datetime.fromisoformat(self.training["learned_until"])
        if windows is None or "recipe" in self.training:
            return datetime.fromisoformat(self.as_of)
        return self.unseen_from - timedelta(days=windows["maturity_days"])

    @property
    def unseen_from(self) -> datetime:
        """The moment after which the model may be judged: where its training left a window to the gate, or learned no
        more."""
        windows = self.training.get("windows")
        judged = None if windows is None or "recipe" in self.training else windows["judged_start"]
        return datetime.fromisoformat(judged or self.as_of)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; made by `open_bundle` and `write` alone."""

    folder: Path
    manifest: Manifest
    sha256: str

    def session(self) -> onnxruntime.InferenceSession:
        """An ONNX Runtime session of the graph, one thread."""
        from jobs.models.runtime import session

        return session(self.read(GRAPH))

    def read(self, name: str) -> bytes:
        """A file's bytes, hashed again as they are read: what is loaded is what was verified."""
        content = (self.folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name]:
            raise BundleError(f"{self.folder / name}: changed since it was verified; restore or export it again")
        return content

    def model(self) -> Model:
        """The model itself, loaded."""
        return load_model(self.folder / MODEL)

    @property
    def size_bytes(self) -> int:
        """Of what is served: the graph and the manifest."""
        return sum((self.folder / name).stat().st_size for name in (GRAPH, MANIFEST))


def features_of(model: Model) -> tuple[tuple[str, str], ...]:
    """Name and type of each feature of a fitted model, as its manifest holds them."""
    return tuple((name, CATEGORY if name in model.categories else NUMBER) for name in model.names)


def write(folder: Path, model: Model, manifest: Manifest) -> Bundle:
    """Write `model`, its graph and the manifest (with the files' hashes) as `folder`, whole or not at all.

    Raises:
        FileExistsError: something else is there already.
    """
    with unfinished.folder_beside(folder) as temporary:
        model.save(temporary / MODEL)
        (temporary / GRAPH).write_bytes(model.to_onnx().SerializeToString(deterministic=True))
        complete = asdict(manifest) | {"files": hashes(temporary)}
        # A manifest of before there were these has none of them.
        complete = {
            name: value for name, value in complete.items() if value or name not in ("task", "interval", "block")
        }
        (temporary / MANIFEST).write_text(json.dumps(complete, indent=1, sort_keys=True, default=str) + "\n")
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    return open_bundle(folder)


def open_bundle(folder: Path, sha256: str | None = None) -> Bundle:
    """The bundle in `folder`, once its manifest is the one meant (`sha256`, if given) and every file has its hash.

    Raises:
        BundleError: a file is missing, surplus or changed, or the manifest is another one.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        actual = hashlib.sha256(text).hexdigest()
        manifest = _manifest(json.loads(text))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(
            f"{folder}: expected a bundle's manifest, found {in_words(error)}; restore or export it"
        ) from error
    if sha256 is not None and actual != sha256:
        raise BundleError(
            f"{folder}: expected the bundle {sha256}, found {actual}; it is not the one that was approved"
        )
    check_files(folder, manifest.files)
    return Bundle(folder, manifest, actual)


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raises BundleError unless the files below `folder`, apart from its manifest, are these, with these hashes."""
    present = hashes(folder)
    if wrong := sorted(name for name in present.keys() | files if present.get(name) != files.get(name)):
        raise BundleError(f"{folder}: expected the files of the manifest, found {wrong} missing, surplus or changed")


def _manifest(content: Mapping[str, Any]) -> Manifest:
    if content["format"] != FORMAT:
        raise Invalid(f"format {content['format']}, expected {FORMAT}")
    features = tuple((str(name), str(kind)) for name, kind in content["features"])
    return Manifest(**{**content, "features": features})


def hashes(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file below `folder` apart from its manifest."""
    files = sorted(p for p in folder.rglob("*") if not p.is_dir() and p != folder / MANIFEST)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
