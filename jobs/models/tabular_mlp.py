"""The PyTorch family: parameters, training rows in, saved weights and an ONNX graph out.

The network itself is `jobs.models.tabm`, its training loop `jobs.models.tabm_training`.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.models import vocabulary
from jobs.models.array_model import ArrayModel, Arrays
from jobs.models.category_graph import with_vocabulary
from jobs.models.features import FeatureRows
from jobs.models.graphs import OPSET, named
from jobs.models.piecewise import Bins
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, weights_of
from jobs.models.runtime import INPUT, OUTPUT
from jobs.stats.losses import weighted_quantile
from jobs.tasks.regression import Regression

if TYPE_CHECKING:
    import onnx

    from jobs.models.tabm import Scorer

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
    "patience": 8,  # epochs without a better average precision, or objective of other tasks
    "negative_rate": 1.0,  # share of the negatives drawn anew for each epoch
    "correction": "weights",  # for negative_rate below 1: weigh negatives up, or "offset" the logits afterwards
}
TARGET = "target"
"""Array of centre and scale of the labels, of a regression."""
_SHAPE = ("members", "width", "blocks", "embedding", "dropout")
_PREDICT_ROWS = 512
"""Rows per forward pass: activations that fit a cache; 1.6 times faster than 8192 on one core."""


class TabularMLP(ArrayModel):
    """TabM (Gorishniy et al. 2025) over piecewise-linear embeddings (Gorishniy et al. 2022).

    With `negative_rate` q below 1, training sees all positives and a share q of the negatives, and probabilities are
    kept calibrated by either `correction`: "weights" counts each drawn negative 1/q times; "offset" adds log q to the
    logits afterwards, the prior correction of King and Zeng (2001), whose gradients vary less.

    Of several classes it is a softmax with cross-entropy, of numbers the quantile asked for, by its pinball loss on
    labels of centre 0 and unit scale.
    """

    family = "tabular_mlp"
    defaults = DEFAULTS

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(parameters)
        if not 0 < self.parameters["negative_rate"] <= 1 or self.parameters["correction"] not in ("weights", "offset"):
            raise Invalid(
                "tabular_mlp: expected 0 < negative_rate <= 1 and correction 'weights' or 'offset', "
                f"found {self.parameters['negative_rate']} and {self.parameters['correction']!r}"
            )
        self._module: Scorer | None = None

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. On "cuda" all rows are resident there, and matrix products run in bfloat16."""
        import torch

        from jobs.models.tabm_training import bins_for, train_network

        check_trainable(train, valid)
        if train.task.name != "binary" and self.parameters["negative_rate"] < 1:
            found = self.parameters["negative_rate"]
            raise Invalid(f"tabular_mlp: expected a negative_rate of 1, as nothing is negative, found {found}; drop it")
        devices = [torch.cuda.current_device()] if device == "cuda" else []
        # The caller's random numbers are left as they were.
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            self._vocabulary = vocabulary.learned(train.features)
            train = self._vocabulary.encoded(train)
            valid = None if valid is None else self._vocabulary.encoded(valid)
            self._learned(train, _target(train))
            module = self._build(bins_for(train, self._vocabulary.columns, self.parameters, seed)).to(device)
            self.steps = train_network(module, train, valid, self.parameters, seed, report)
        self._module = module.cpu().eval()

    def _build(self, bins: Bins) -> Scorer:
        from jobs.models.tabm import ClassProbabilities, Number, Probability, TabM

        sizes = {column: self._vocabulary.size(column) for column in self._vocabulary.columns}
        classes = len(self._task.classes)
        network = TabM(bins, sizes, **{name: self.parameters[name] for name in _SHAPE}, outputs=max(classes, 1))
        if classes:
            return ClassProbabilities(network)
        if self._state:
            return Number(network, *self._state[TARGET].tolist())
        corrected = self.parameters["correction"] == "offset"
        return Probability(network, math.log(self.parameters["negative_rate"]) if corrected else 0.0)

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`. Runs on the CPU, in float32."""
        import torch

        check_features(features, self.names)
        assert self._module is not None
        several = (len(self._task.classes),) if self._task.classes else ()
        encoded, scores = self._vocabulary.encode(features), np.empty((len(features), *several), np.float64)
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
        # The exporter warns about its own internals, and logs what it does not need.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
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

    def _arrays(self) -> Arrays:
        assert self._module is not None
        return self._state | {name: value.numpy() for name, value in self._module.network.state_dict().items()}

    def _restore(self, arrays: Arrays) -> None:
        import torch

        self._state = {TARGET: arrays.pop(TARGET)} if self._task.name == "regression" and TARGET in arrays else {}
        try:
            module = self._build(Bins(*(arrays[name] for name in Bins._fields)))
            module.network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        except (KeyError, RuntimeError) as error:
            raise Invalid(f"expected the weights of this network, found {in_words(error)}") from error
        self._module = module.eval()


def _target(train: Examples) -> Arrays:
    """Of a regression the centre and scale of labels: the quantile asked for, and the mean distance from it."""
    if not isinstance(train.task, Regression):
        return {}
    weights = weights_of(train)
    centre = weighted_quantile(train.labels, train.task.quantile, weights)
    return {TARGET: np.array([centre, np.average(np.abs(train.labels - centre), weights=weights)])}
