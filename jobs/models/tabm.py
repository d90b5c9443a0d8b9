"""The network: TabM on piecewise-linear embeddings. How it is trained, stored and exported is elsewhere.

Gorishniy, Kotelnikov, Babenko: "TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling" (ICLR 2025).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jobs.models.piecewise import LIMIT, Bins


class TabM(nn.Module):
    """`members` small MLPs that share every weight matrix and differ by vectors that scale inputs and outputs.

    A layer of member i is s_i * (W (r_i * x)) + b_i (BatchEnsemble, Wen et al. 2020); heads are not shared. The first
    r_i starts random, normal and equal within one feature's embedding, all others at one: what the authors found best
    on embeddings. Here it also stays equal within a feature, so r_i scales the features' shares of the first layer,
    which are computed once for all members: about eight times less work at equal width.

    Shapes: features [n, f] -> outputs [members, n], or [members, n, outputs] where there are several. Of `categories`
    (column -> number of codes) they hold codes.
    """

    left: Tensor
    inverse: Tensor
    fill: Tensor

    def __init__(
        self,
        bins: Bins,
        categories: Mapping[int, int],
        *,
        members: int,
        width: int,
        blocks: int,
        embedding: int,
        dropout: float,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        features = len(bins.left)
        for name, value in bins._asdict().items():
            self.register_buffer(name, torch.tensor(value))
        self.encode = nn.Parameter(_straight(bins, embedding))
        self.shift = nn.Parameter(-self.encode.detach().sum(1, keepdim=True) / 2)
        self.missing = nn.Parameter(_uniform(features, 1, embedding, fan_in=embedding))
        self.first = nn.Parameter(_uniform(features, embedding, width, fan_in=features * embedding))
        self.first_scale_in = nn.Parameter(torch.randn(members, features))
        self.matrices = nn.ParameterList(_uniform(width, width, fan_in=width) for _ in range(blocks - 1))
        self.scales_in = nn.ParameterList(torch.ones(members, width) for _ in range(blocks - 1))
        self.scales_out = nn.ParameterList(torch.ones(members, width) for _ in range(blocks))
        self.biases = nn.ParameterList(_uniform(members, width, fan_in=width) for _ in range(blocks))
        several = () if outputs == 1 else (outputs,)
        self.heads = nn.Parameter(_uniform(members, width, *several, fan_in=width))
        self.head_biases = nn.Parameter(torch.zeros(members, *several))
        self.dropout = Dropout(dropout)
        self.categories = tuple(categories)
        # At zero every value is like the others, as one that training never sees stays.
        self.values = nn.ParameterList(torch.zeros(size, embedding) for size in categories.values())

    def forward(self, features: Tensor) -> Tensor:
        """Outputs of each member."""
        shares = torch.matmul(self.embed(features), self.first)  # [f, n, width]
        mixed = torch.matmul(self.first_scale_in, shares.flatten(1))  # one product for all members and rows
        hidden = self._activate(mixed.reshape(len(self.heads), -1, shares.shape[-1]), 0)  # [members, n, width]
        for block, (scale_in, matrix) in enumerate(zip(self.scales_in, self.matrices, strict=True), start=1):
            hidden = self._activate(torch.matmul(hidden * scale_in[:, None], matrix), block)
        if self.heads.dim() == 3:
            return torch.matmul(hidden, self.heads) + self.head_biases[:, None]
        return torch.matmul(hidden, self.heads[..., None]).squeeze(-1) + self.head_biases[:, None]

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings [f, n, embedding]: piecewise linear in a number, and a vector of its own where it is missing; of a
        category, which has no bins, a vector for each code."""
        columns = features.t().unsqueeze(-1)  # [f, n, 1]
        missing = torch.isnan(columns)
        filled = torch.where(missing, self.fill[:, None, None], columns).clamp(-LIMIT, LIMIT)
        components = ((filled - self.left[:, None]) * self.inverse[:, None]).clamp(0.0, 1.0)  # [f, n, bins]
        embedded = torch.matmul(components, self.encode) + self.shift + missing.to(components.dtype) * self.missing
        if not self.categories:
            return embedded
        parts = list(embedded.unbind(0))
        for column, values in zip(self.categories, self.values, strict=True):
            parts[column] = parts[column] + values[features[:, column].long()]
        return torch.stack(parts)

    def _activate(self, hidden: Tensor, block: int) -> Tensor:
        scale, bias = self.scales_out[block][:, None], self.biases[block][:, None]
        activated: Tensor = self.dropout(torch.relu(torch.addcmul(bias, hidden, scale)))
        return activated

    def decayed(self) -> list[nn.Parameter]:
        """The shared matrices; vectors, biases and embeddings of a member or feature are not decayed."""
        return [self.first, *self.matrices]


class Dropout(nn.Module):
    """Dropout at a rate rounded to 1/256, from random bytes: on a CPU PyTorch's own takes a fifth of the training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * 256)

    def forward(self, values: Tensor) -> Tensor:
        """`values`, some of them zero while training and the others larger to make up for it."""
        if not self.training or not self.dropped:
            return values
        words = torch.empty(values.numel() // 8 + 1, dtype=torch.int64, device=values.device).random_(-(2**63), None)
        is_kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= self.dropped
        return values * (is_kept * (256 / (256 - self.dropped))).to(values.dtype)


class Scorer(nn.Module):
    """What is exported, [n, f] -> [n], or [n, classes]: the mean of what the members say."""

    def __init__(self, network: TabM) -> None:
        super().__init__()
        self.network = network


class Probability(Scorer):
    """The mean of the members' probabilities.

    `offset` is added to each logit: the logarithm of the share of negatives that training saw (see `TabularMLP`).
    """

    def __init__(self, network: TabM, offset: float) -> None:
        super().__init__(network)
        self.offset = offset

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities."""
        return torch.sigmoid(self.network(features) + self.offset).mean(0)


class ClassProbabilities(Scorer):
    """The mean of the members' probabilities of each class."""

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities, [n, classes]."""
        return torch.softmax(self.network(features), -1).mean(0)


class Number(Scorer):
    """The mean of the members' predictions, which are learned on labels of centre 0 and unit scale."""

    def __init__(self, network: TabM, centre: float, scale: float) -> None:
        super().__init__(network)
        self.centre, self.scale = centre, scale

    def forward(self, features: Tensor) -> Tensor:
        """Predictions."""
        return self.network(features).mean(0) * self.scale + self.centre


def _straight(bins: Bins, embedding: int) -> Tensor:
    """[f, bins, embedding]: a start at which each embedding is linear in the rank of the value, of unit deviation."""
    is_used = torch.tensor(bins.inverse > 0)
    direction = _uniform(len(is_used), 1, embedding, fan_in=1)
    steps = 12**0.5 * is_used / is_used.sum(1, keepdim=True).clamp(min=1)
    return steps.unsqueeze(-1) * direction


def _uniform(*shape: int, fan_in: int) -> Tensor:
    return torch.empty(*shape).uniform_(-(fan_in**-0.5), fan_in**-0.5)
