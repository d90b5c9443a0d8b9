"""The training loop of the network: batches, loss, early stopping. Read top to bottom it is all of it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from jobs.models.features import values_of
from jobs.models.piecewise import Bins, bins_of
from jobs.models.protocol import Examples, StepReport
from jobs.models.tabm import Probability

_BIN_ROWS = 200_000
"""Rows that decide the bins: quantiles of more would be the same to a thousandth."""
_VALID_ROWS = {"cpu": 512, "cuda": 16_384}
"""Validation rows per forward pass: activations that fit a CPU's cache, or enough to fill a GPU."""
_LARGEST_GRADIENT = 1.0


def bins_for(train: Examples, categories: Collection[int], parameters: Mapping[str, Any], seed: int) -> Bins:
    """Bins, none of the columns that are `categories`, from rows drawn as an epoch draws them, so that they are
    dense where the positives are."""
    random = np.random.default_rng(seed)
    sample = np.flatnonzero(train.labels | (random.random(len(train)) < parameters["negative_rate"]))
    if len(sample) > _BIN_ROWS:
        sample = random.choice(sample, _BIN_ROWS, replace=False)
    features = values_of(train.features)[sample]
    features[:, list(categories)] = np.nan
    return bins_of(features, parameters["bins"])


def train_network(
    module: Probability,
    train: Examples,
    valid: Examples | None,
    parameters: Mapping[str, Any],
    seed: int,
    report: StepReport | None,
) -> int:
    """Train `module` where it is; with `valid`, leave it at its best epoch by average precision.

    Returns:
        The number of epochs behind the weights kept.
    """
    device = module.network.left.device
    rows = _Rows(train, parameters, device)
    optimiser = _optimiser(module, parameters)
    best, best_epoch, best_weights = -1.0, parameters["epochs"], None
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
    """The training rows on the device; each epoch draws all positives and its share of the negatives."""

    def __init__(self, train: Examples, parameters: Mapping[str, Any], device: torch.device) -> None:
        self._features = torch.from_numpy(values_of(train.features)).to(device)
        self._labels = torch.from_numpy(train.labels).to(device, torch.float32)
        weights = np.ones(len(train), np.float32) if train.weights is None else train.weights / train.weights.mean()
        self._weights = torch.from_numpy(weights).to(device)
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

    def loss(self, module: Probability, batch: Tensor) -> Tensor:
        """The mean over rows and members of the weighted cross-entropy: every member learns by itself."""
        labels = self._labels[batch]
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=labels.device.type == "cuda"):
            logits = module.network(self._features[batch])
        losses = binary_cross_entropy_with_logits(logits.float(), labels.expand_as(logits), reduction="none")
        return (losses.mean(0) * self._weights[batch]).mean()


class _Evaluation:
    """Average precision on validation rows that stay on the device."""

    def __init__(self, valid: Examples, device: torch.device) -> None:
        self._features = torch.from_numpy(values_of(valid.features)).to(device)
        self._valid = valid

    def __call__(self, module: Probability) -> float:
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
        return float(average_precision_score(self._valid.labels, scores, sample_weight=self._valid.weights))


def _optimiser(module: Probability, parameters: Mapping[str, Any]) -> torch.optim.Optimizer:
    decayed = module.network.decayed()
    decayed_ids = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in decayed_ids]
    groups = [{"params": decayed, "weight_decay": parameters["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=parameters["learning_rate"], fused=True)
