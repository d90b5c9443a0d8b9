"""A model in service: an exported model whose every file was verified, loaded and asked once before it answers anybody.

Which model is in service, and when it changes, belongs in `serving.live_models.watch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.models.runtime import CATEGORIES, INPUT, OUTPUT, score
from jobs.promotion.export_onnx import OnlineModel
from jobs.registry.bundle import Manifest

if TYPE_CHECKING:
    import onnxruntime


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
        """Load the graph, and score one row that misses every feature.

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
        score(model.session, model.manifest.blank_row())
        return model

    @property
    def inputs(self) -> dict[str, int]:
        """Name of each input of the graph -> its columns: numbers (float32) and categories (texts)."""
        return {given["name"]: given["shape"][1] for given in self.manifest.inputs.values()}

    @property
    def classes(self) -> int:
        """Columns of the score; 0: one score a row, without columns."""
        return len(self.manifest.learned.classes)

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """Scores, float32 [batch] or [batch, classes], of a batch for each input."""
        scores: np.ndarray[Any, Any] = self.session.run([OUTPUT], dict(feeds))[0]
        return scores


DATATYPES = {INPUT: "FP32", CATEGORIES: "BYTES", OUTPUT: "FP32"}
"""Datatype of each input and output, in the words of the Open Inference Protocol."""
