"""A model in service: an exported model whose every file was verified, loaded and asked once before it answers anybody.

Which model is in service, and when it changes, belongs in `serving.live_models.watch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jobs.models.runtime import CATEGORIES, INPUT, OUTPUT, feeds
from jobs.promotion.export_onnx import OnlineModel
from jobs.registry.bundle import Manifest

if TYPE_CHECKING:
    import onnxruntime

Scores: TypeAlias = np.ndarray[Any, Any]
Feeds: TypeAlias = dict[str, np.ndarray[Any, Any]]
"""Rows for each input of a graph."""
_TRIED, _MOST_TOGETHER = 64, 16


@dataclass(frozen=True, eq=False)
class LiveModel:
    """One version of a model, ready to score."""

    use_case: str
    version: str
    """Number of the version in the registry, as text."""
    sha256: str
    """Of the manifest of the exported model."""
    bundle: str
    """Sha256 of the bundle's manifest, by which logs name the model."""
    manifest: Manifest
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, use_case: str, exported: OnlineModel) -> LiveModel:
        """Load the graph, and score rows that miss every feature.

        Raises:
            BundleError: the graph changed since it was verified.
        """
        model = cls(
            use_case,
            str(exported.version),
            exported.sha256,
            exported.bundle.sha256,
            exported.bundle.manifest,
            exported.session(),
        )
        model.run_each([dict(feeds(model.manifest.blank_row()))] * 2)
        return model

    @cached_property
    def inputs(self) -> dict[str, int]:
        """Name of each input of the graph -> its columns: numbers (float32) and categories (texts)."""
        return {given["name"]: given["shape"][1] for given in self.manifest.inputs.values()}

    @property
    def classes(self) -> int:
        """Columns of the score; 0: one score a row, without columns."""
        return len(self.manifest.learned.classes)

    def run(self, rows: Feeds) -> Scores:
        """Scores, float32 [batch] or [batch, classes], of a batch for each input."""
        scores: Scores = self.session.run([OUTPUT], rows)[0]
        return scores

    def run_each(self, rows: Sequence[Feeds]) -> Scores:
        """Scores of single rows, each with the bits that it has alone; in one call where that is no difference."""
        if len(rows) == 1:
            return self.run(rows[0])
        if not self.is_alike:
            return np.concatenate([self.run(row) for row in rows])
        return self.run(_joined(rows))

    @cached_property
    def is_alike(self) -> bool:
        """Whether a row's score has the same bits together with others as alone, by rows of chance.

        Those of trees have; sums of products are made in other groups when there are more rows.
        """
        rows = [self._row_by_chance(seed) for seed in range(_TRIED)]
        alone = np.concatenate([self.run(row) for row in rows])
        return all(
            self.run(_joined(rows[start : start + count])).tobytes() == alone[start : start + count].tobytes()
            for count in range(2, _MOST_TOGETHER + 1)
            for start in range(0, _TRIED, count)
        )

    def _row_by_chance(self, seed: int) -> Feeds:
        """Numbers around 0; categories are missing."""
        numbers = np.random.default_rng(seed).normal(size=(1, max(self.inputs.values()))).astype(np.float32)
        return {
            name: numbers[:, :columns] if name == INPUT else np.full((1, columns), "", object)
            for name, columns in self.inputs.items()
        }


def _joined(rows: Sequence[Feeds]) -> Feeds:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


DATATYPES = {INPUT: "FP32", CATEGORIES: "BYTES", OUTPUT: "FP32"}
"""Datatype of each input and output, in the words of the Open Inference Protocol."""
