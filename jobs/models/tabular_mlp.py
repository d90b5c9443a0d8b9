"""The PyTorch family: parameters, training rows in, saved weights and an ONNX graph out.

The network itself is `jobs.models.tabm`, its training loop `jobs.models.tabm_training`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.models import vocabulary
from jobs.models.category_graph import with_vocabulary
from jobs.models.features import FeatureRows
from jobs.models.folders import packed, read_model, unpacked, write_model
from jobs.models.graphs import OPSET, named
from jobs.models.piecewise import Bins
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, merged
from jobs.models.runtime import INPUT, OUTPUT
from jobs.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    import onnx

    from jobs.models.tabm import Probability

DEFAULTS: Mapping[str, Any] = {
    "members": 16,  # 32 in the paper, for twice the time
    "width": 64,
    "blocks": 2,
    "bins": 24,
    "embedding": 8,
    "dropout": 0.1,
    "learning_rate": 2e-3,
    "weight_decay": 1e-2,
    "batch_size": 512,
    "epochs": 60,  # at most, when validation rows stop it earlier
    "patience": 8,  # epochs without a better average precision
    "negative_rate": 1.0,  # share of the negatives drawn anew for each epoch
    "correction": "weights",  # for negative_rate below 1: weigh negatives up, or "offset" the logits afterwards
}
_ARRAYS = "arrays.npz"
_SHAPE = ("members", "width", "blocks", "embedding", "dropout")
_PREDICT_ROWS = 512
"""Rows per forward pass: activations that fit a cache; 1.6 times faster than 8192 on one core."""


class TabularMLP:
    """TabM (Gorishniy et al. 2025) over piecewise-linear embeddings (Gorishniy et al. 2022).

    With `negative_rate` q below 1, training sees all positives and a share q of the negatives, and probabilities are
    kept calibrated by either `correction`: "weights" counts each drawn negative 1/q times; "offset" adds log q to the
    logits afterwards, the prior correction of King and Zeng (2001), whose gradients vary less.
    """

    family = "tabular_mlp"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.parameters = merged(self.family, DEFAULTS, parameters or {})
        if not 0 < self.parameters["negative_rate"] <= 1 or self.parameters["correction"] not in ("weights", "offset"):
            raise Invalid(
                "tabular_mlp: expected 0 < negative_rate <= 1 and correction 'weights' or 'offset', "
                f"found {self.parameters['negative_rate']} and {self.parameters['correction']!r}"
            )
        self.steps = 0
        self._names: tuple[str, ...] | None = None
        self._vocabulary = Vocabulary()
        self._module: Probability | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""
        if self._names is None:
            raise Invalid("tabular_mlp: expected a fitted model, found one without weights; call fit or load first")
        return self._names

    @property
    def categories(self) -> tuple[str, ...]:
        """See `Model.categories`."""
        return self._vocabulary.names(self.names)

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. On "cuda" all rows are resident there, and matrix products run in bfloat16."""
        import torch

        from jobs.models.tabm_training import bins_for, train_network

        check_trainable(train, valid)
        devices = [torch.cuda.current_device()] if device == "cuda" else []
        # The caller's random numbers are left as they were.
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            self._vocabulary = vocabulary.learned(train.features)
            train = self._vocabulary.encoded(train)
            valid = None if valid is None else self._vocabulary.encoded(valid)
            module = self._build(bins_for(train, self._vocabulary.columns, self.parameters, seed)).to(device)
            self.steps = train_network(module, train, valid, self.parameters, seed, report)
        self._module, self._names = module.cpu().eval(), train.names

    def _build(self, bins: Bins) -> Probability:
        from jobs.models.tabm import Probability, TabM

        corrected = self.parameters["correction"] == "offset"
        offset = math.log(self.parameters["negative_rate"]) if corrected else 0.0
        sizes = {column: self._vocabulary.size(column) for column in self._vocabulary.columns}
        return Probability(TabM(bins, sizes, **{name: self.parameters[name] for name in _SHAPE}), offset)

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`. Runs on the CPU, in float32."""
        import torch

        check_features(features, self.names)
        assert self._module is not None
        encoded, scores = self._vocabulary.encode(features), np.empty(len(features), np.float64)
        with torch.inference_mode():
            for start in range(0, len(features), _PREDICT_ROWS):
                rows = torch.from_numpy(np.ascontiguousarray(encoded[start : start + _PREDICT_ROWS]))
                scores[start : start + _PREDICT_ROWS] = self._module(rows).numpy()
        return scores

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`. PyTorch's exporter, so compare before use (`jobs.models.parity`)."""
        import torch

        names = self.names
        assert self._module is not None
        with warnings.catch_warnings():
            # The exporter warns about its own internals.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                self._module,
                (torch.zeros(2, len(names)),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        return with_vocabulary(named(program.model_proto, names), self._vocabulary)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        assert self._module is not None
        weights = {name: value.numpy() for name, value in self._module.network.state_dict().items()}
        write_model(folder, header | self._vocabulary.header(self.names), _ARRAYS, packed(weights))

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        import torch

        header, content = read_model(folder, self.family, _ARRAYS)
        arrays = unpacked(content)
        self.parameters = merged(self.family, DEFAULTS, header["parameters"])
        self._vocabulary = vocabulary.of_header(header)
        try:
            module = self._build(Bins(*(arrays[name] for name in Bins._fields)))
            module.network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        except (KeyError, RuntimeError) as error:
            raise Invalid(
                f"{folder}: expected the weights of this network, found {in_words(error)}; save it again"
            ) from error
        self._module, self._names, self.steps = module.eval(), header["names"], header["steps"]
