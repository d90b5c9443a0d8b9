"""A small world to judge models in: labelled rows as a Delta training set, models fitted to it, a registry of files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.limits import Limits
from jobs.models.catalog import new_model
from jobs.models.tables import examples_of
from jobs.problem import Family, Groups, Problem, Review, Rule, Slice
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, BundleError, Manifest
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
FEATURES = ("tx_amount", "x1", "x2", "x3")
PROBLEM = Problem(
    review=Review(threshold=0.5, capacity=20, cost=5.0),
    amount="tx_amount",
    cluster_key="customer_id",
    families=(Family("boosted"),),
    rules=(Rule("x1_then_amount", ("x1", "tx_amount")),),
    slices=(Slice("small", "tx_amount", maximum=20), Groups("region", "region", source="customers")),
    evaluation_window=10 * DAY,
    limits=Limits(latency_ms=1000.0, training_noise=0.0),
)
USE_CASE = replace(FRAUD, label_maturity=5 * DAY, problem=PROBLEM)
BLUR = 0.75
"""Noise on the feature `x3_blurred`: who sees it instead of x3 loses about .03 of average precision."""
BLURRED, BLIND = ("tx_amount", "x1", "x2", "x3_blurred"), ("tx_amount", "x1", "x3")
"""Features of a model that is .03 worse, and of one that is much worse."""
BOOSTED = {"rounds": 40, "learning_rate": 0.2, "num_leaves": 15, "min_data_in_leaf": 20}


def table_of(seed: int, rows: int, days: int = 40, as_of: datetime = AS_OF, start: int = 0) -> pa.Table:
    """Labelled payments of the `days` before `as_of`: what a logistic regression cannot see, x1 * x2, counts most."""
    generator = np.random.default_rng(seed)
    x1, x2, x3 = generator.normal(size=(3, rows)).astype(np.float32)
    customer = generator.integers(0, max(rows // 8, 1), rows)
    # Cards have their own luck: rows of one are not independent.
    luck = generator.normal(scale=0.5, size=max(rows // 8, 1))[customer]
    logit = -4.6 + 2.2 * x1 * x2 + 0.9 * x1 + 1.1 * x3 + luck
    labels = generator.random(rows) < 1 / (1 + np.exp(-logit))
    micros = np.sort(generator.integers(0, int(days * DAY.total_seconds() * 1e6), rows))
    first = np.datetime64((as_of - days * DAY).replace(tzinfo=None), "us")
    times = first + micros.astype("timedelta64[us]")
    return pa.table(
        {
            "transaction_id": np.arange(start, start + rows),
            "tx_datetime": pa.array(times).cast(pa.timestamp("us", "UTC")),
            "customer_id": customer,
            "tx_amount": np.round(generator.gamma(2, 25, rows), 2),
            "x1": x1, "x2": x2, "x3": x3,
            "x3_blurred": x3 + generator.normal(scale=BLUR, size=rows).astype(np.float32),
            "is_fraud": labels,
            "event_date": pa.array(times.astype("datetime64[D]")),
        }
    )  # fmt: skip


def write_training_set(
    settings: Settings, table: pa.Table, as_of: datetime = AS_OF, use_case: UseCase = USE_CASE
) -> Lakehouse:
    """The table as the training set of this home, as of a moment."""
    lakehouse = Lakehouse(settings)
    state = {
        "as_of": as_of.isoformat(), "versions": {use_case.events: 0}, "rows": table.num_rows,
        "features": list(FEATURES), "declarations": "a test",
    }  # fmt: skip
    where = lakehouse.path(use_case.training_set)
    write_deltalake(
        where, table, mode="overwrite", schema_mode="overwrite", partition_by=["event_date"],
        commit_properties=keeping(state),
    )  # fmt: skip
    return lakehouse


def fitted(
    folder: Path,
    table: pa.Table,
    names: Sequence[str] = FEATURES,
    seed: int = 0,
    family: str = "boosted",
    parameters: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    use_case: str = "fraud",
) -> Bundle:
    """A model fitted to a table, as the bundle `folder`."""
    model = new_model(family, BOOSTED if parameters is None and family == "boosted" else parameters)
    model.fit(examples_of(table, names, "is_fraud"), None, seed=seed, device="cpu")
    features = tuple((name, "float32") for name in names)
    manifest = Manifest(use_case, family, features, 0.5, AS_OF.isoformat(), {"seed": seed, **(training or {})})
    return bundle.write(folder, model, manifest)


def with_broken_slice(table: pa.Table) -> pa.Table:
    """The table as if nobody had ever reported a fraud in the guard slice `small`."""
    labels = table["is_fraud"].to_numpy() & (table["tx_amount"].to_numpy() >= 20)
    return table.set_column(table.column_names.index("is_fraud"), "is_fraud", pa.array(labels))


@dataclass
class FileRegistry:
    """A registry as promotion sees it: versions are folders, aliases a JSON file."""

    folder: Path
    down: bool = False

    def add(self, version: int, made: Bundle) -> None:
        shutil.copytree(made.folder, self.folder / str(version))
        self._write({**self.aliases, "candidate": version})

    @property
    def aliases(self) -> dict[str, int]:
        path = self.folder / "aliases.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def latest_candidate(self, settings: Settings, use_case: UseCase) -> int | None:
        self._answer()
        return self.aliases.get("candidate")

    def fetch(self, settings: Settings, use_case: UseCase, version: int, sha256: str | None = None) -> Bundle:
        if not (self.folder / str(version)).exists():
            raise BundleError(f"version {version}: expected a bundle, found none in the registry")
        return bundle.open_bundle(self.folder / str(version), sha256)

    def register_baseline(self, settings: Settings, use_case: UseCase, bundle: Bundle) -> int:
        self._answer()
        version = 1 + max((int(each.name) for each in self.folder.iterdir() if each.is_dir()), default=0)
        shutil.copytree(bundle.folder, self.folder / str(version))
        return version

    def set_aliases(self, settings: Settings, use_case: UseCase, aliases: Mapping[str, int | None]) -> None:
        self._answer()
        self._write({name: v for name, v in {**self.aliases, **aliases}.items() if v is not None})

    def _answer(self) -> None:
        if self.down:
            raise ConnectionError("the registry does not answer")

    def _write(self, aliases: Mapping[str, int]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "aliases.json").write_text(json.dumps(aliases))
