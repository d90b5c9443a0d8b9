"""The training loop of the network: batches, loss, early stopping. Read top to bottom it is all of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from jobs.models.features import values_of
from jobs.models.piecewise import Bins, bins_of
from jobs.models.protocol import Examples, StepReport, weights_of
from jobs.models.tabm import Number, Scorer
from jobs.tasks.regression import Regression
from jobs.tasks.task import RowValues

_BIN_ROWS = 200_000
"""Rows that decide the bins: quantiles of more would be the same to a thousandth."""
_VALID_ROWS = {"cpu": 512, "cuda": 16_384}
"""Validation rows per forward pass: activations that fit a CPU's cache, or enough to fill a GPU."""
_LARGEST_GRADIENT = 1.0
Losses = Callable[[Tensor, Tensor], Tensor]
"""Outputs of the members and labels -> losses, [members, n]."""


def bins_for(train: Examples, categories: Collection[int], parameters: Mapping[str, Any], seed: int) -> Bins:
    """Bins, none of the columns that are `categories`, from rows drawn as an epoch draws them, so that they are
    dense where the positives are."""
    random = np.random.default_rng(seed)
    drawn = random.random(len(train)) < parameters["negative_rate"]
    sample = np.flatnonzero(train.labels | drawn) if train.task.name == "binary" else np.arange(len(train))
    if len(sample) > _BIN_ROWS:
        sample = random.choice(sample, _BIN_ROWS, replace=False)
    features = values_of(train.features)[sample]
    features[:, list(categories)] = np.nan
    return bins_of(features, parameters["bins"])


def train_network(
    module: Scorer,
    train: Examples,
    valid: Examples | None,
    parameters: Mapping[str, Any],
    seed: int,
    report: StepReport | None,
) -> int:
    """Train `module` where it is; with `valid`, leave it at its best epoch by average precision, or of other tasks by
    the objective.

    Returns:
        The number of epochs behind the weights kept.
    """
    device = module.network.left.device
    rows = _Rows(train, module, parameters, device)
    optimiser = _optimiser(module, parameters)
    best, best_epoch, best_weights = -np.inf, parameters["epochs"], None
    evaluate = None if valid is None else _Evaluation(valid, device)
    for epoch in range(1, parameters["epochs"] + 1):
        module.train()
        for batch in rows.batches(parameters["batch_size"]):
            loss = rows.loss(module, batch)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(module.parameters(), _LARGEST_GRADIENT)
            optimiser.step()
        if evaluate is None:
            continue
        value = evaluate(module)
        if value > best:
            best, best_epoch, best_weights = value, epoch, copy.deepcopy(module.state_dict())
        if report is not None:
            report(epoch, value)
        if epoch - best_epoch >= parameters["patience"]:
            break
    if best_weights is not None:
        module.load_state_dict(best_weights)
    return int(best_epoch)


class _Rows:
    """The training rows on the device; each epoch draws all positives and its share of the negatives, or of other tasks
    all rows."""

    def __init__(self, train: Examples, module: Scorer, parameters: Mapping[str, Any], device: torch.device) -> None:
        self._features = torch.from_numpy(values_of(train.features)).to(device)
        self._labels, self._losses = _targets(train, module, device)
        weights = np.ones(len(train), np.float32) if train.weights is None else train.weights / train.weights.mean()
        self._weights = torch.from_numpy(weights).to(device)
        if train.task.name != "binary":
            self._positives = torch.arange(len(train), device=device)
            self._negatives, self._drawn = self._positives[:0], 0
            return
        self._positives = torch.nonzero(self._labels == 1).squeeze(1)
        self._negatives = torch.nonzero(self._labels == 0).squeeze(1)
        rate = parameters["negative_rate"]
        self._drawn = max(1, round(rate * len(self._negatives)))
        if parameters["correction"] == "weights":
            factor = len(self._negatives) / self._drawn
            self._weights = torch.where(self._labels == 1, self._weights, self._weights * factor)
            rows_a_round = len(self._positives) + self._drawn
            # A mean weight of one keeps the size of the gradients, whatever the rate.
            self._weights = self._weights * (rows_a_round / len(train))

    def batches(self, size: int) -> Iterator[Tensor]:
        """Positions of one epoch's rows, shuffled."""
        device = self._labels.device
        negatives = self._negatives[torch.randperm(len(self._negatives), device=device)[: self._drawn]]
        positions = torch.cat([self._positives, negatives])
        yield from torch.split(positions[torch.randperm(len(positions), device=device)], size)

    def loss(self, module: Scorer, batch: Tensor) -> Tensor:
        """The mean over rows and members of the weighted loss: every member learns by itself."""
        labels = self._labels[batch]
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=labels.device.type == "cuda"):
            outputs = module.network(self._features[batch])
        return (self._losses(outputs.float(), labels).mean(0) * self._weights[batch]).mean()


def _targets(train: Examples, module: Scorer, device: torch.device) -> tuple[Tensor, Losses]:
    """Labels as the network learns them, and the loss of each member and row, [members, n]."""
    labels = torch.from_numpy(train.labels).to(device)
    if train.task.classes:
        return labels, _of_classes
    if isinstance(train.task, Regression):
        assert isinstance(module, Number)
        level = train.task.quantile
        scaled = ((labels - module.centre) / module.scale).to(torch.float32)
        return scaled, lambda outputs, asked: _pinball(asked - outputs, level)
    return labels.to(torch.float32), _of_yes


def _of_yes(logits: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, labels.expand_as(logits), reduction="none")


def _of_classes(logits: Tensor, labels: Tensor) -> Tensor:
    members, rows, classes = logits.shape
    every = labels.expand(members, rows).reshape(-1)
    return cross_entropy(logits.reshape(-1, classes), every, reduction="none").reshape(members, rows)


def _pinball(above: Tensor, level: float) -> Tensor:
    """Twice the pinball loss, which of the median is the absolute error."""
    return 2 * torch.maximum(level * above, (level - 1) * above)


class _Evaluation:
    """Average precision, or the objective of other tasks on a scale where more is better, on validation rows that stay
    on the device."""

    def __init__(self, valid: Examples, device: torch.device) -> None:
        self._features = torch.from_numpy(values_of(valid.features)).to(device)
        self._valid = valid

    def __call__(self, module: Scorer) -> float:
        from sklearn.metrics import average_precision_score

        module.eval()
        with torch.inference_mode():
            scores = (
                torch.cat(
                    [module(rows) for rows in torch.split(self._features, _VALID_ROWS[self._features.device.type])]
                )
                .cpu()
                .numpy()
            )
        valid = self._valid
        if valid.task.name == "binary":
            return float(average_precision_score(valid.labels, scores, sample_weight=valid.weights))
        values = RowValues(weights=weights_of(valid))
        return valid.task.gain(valid.task.value(valid.labels, scores.astype(np.float64), values))


def _optimiser(module: Scorer, parameters: Mapping[str, Any]) -> torch.optim.Optimizer:
    decayed = module.network.decayed()
    decayed_ids = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in decayed_ids]
    groups = [{"params": decayed, "weight_decay": parameters["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=parameters["learning_rate"], fused=True)
