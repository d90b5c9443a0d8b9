"""Training throughput of the network: on a GPU if there is one, on the CPU, and as a plain PyTorch loop.

`python bench/gpu.py`. Aim: on the GPU at least as many rows per second as the plain loop. Without a GPU it says so.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import REPORTS
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.models.tabm import TabM
from jobs.models.tabm_training import bins_for
from jobs.models.tabular_mlp import DEFAULTS

RESULT = REPORTS / "gpu.json"
FEATURES, SEED = 45, 0
ROWS = {"cuda": 1_000_000, "cpu": 5_000}
BATCH = {"cuda": 8192, "cpu": 512}
EPOCHS = {"cuda": 3, "cpu": 1}
SHAPE = ("members", "width", "blocks", "embedding", "dropout")


def main() -> None:
    """Measure and print; with a GPU the result goes to docs/benchmarks/gpu.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not used: the data are synthetic")
    parser.parse_args()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    measured: dict[str, Any] = {"rows_per_second": {device: throughput(device) for device in devices}}
    if "cuda" not in devices:
        print(json.dumps(measured, indent=2))
        print("no GPU found: only the CPU was measured")
        return
    speeds = measured["rows_per_second"]
    measured["gpu"] = torch.cuda.get_device_name()
    measured["gpu_over_cpu"] = round(speeds["cuda"]["evergreen"] / speeds["cpu"]["evergreen"], 1)
    measured["gpu_over_plain_loop"] = round(speeds["cuda"]["evergreen"] / speeds["cuda"]["plain loop"], 2)
    RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def throughput(device: str) -> dict[str, float]:
    """Rows trained on per second, ours and the plain loop's; the first epoch of each is a warm-up and not counted."""
    random = np.random.default_rng(SEED)
    features = random.normal(size=(ROWS[device], FEATURES)).astype(np.float32)
    labels = features[:, 0] + random.normal(size=len(features)) > 2.5
    examples = Examples(features, labels, None, tuple(f"f{place}" for place in range(FEATURES)))

    def ours(epochs: int) -> None:
        model = new_model("tabular_mlp", {"epochs": epochs, "batch_size": BATCH[device]})
        model.fit(examples, None, seed=SEED, device=device)

    return {
        "evergreen": _speed(ours, device),
        "plain loop": _speed(lambda epochs: plain_loop(examples, device, epochs), device),
    }


def plain_loop(examples: Examples, device: str, epochs: int) -> None:
    """What one writes by hand: the same network, AdamW, data on the device, float32, batches of a shuffled index."""
    torch.manual_seed(SEED)
    network = TabM(bins_for(examples, (), DEFAULTS, SEED), {}, **{name: DEFAULTS[name] for name in SHAPE}).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=DEFAULTS["learning_rate"])
    features = torch.from_numpy(examples.features).to(device)
    labels = torch.from_numpy(examples.labels).to(device, torch.float32)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(labels), device=device), BATCH[device]):
            logits: Tensor = network(features[batch])
            loss = binary_cross_entropy_with_logits(logits, labels[batch].expand_as(logits))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()


def _speed(train: Callable[[int], None], device: str) -> float:
    """Rows per second of an epoch, from the difference of two runs: what happens once drops out."""
    train(1)
    few, many = (_seconds(train, epochs, device) for epochs in (1, 1 + EPOCHS[device]))
    return round(ROWS[device] * EPOCHS[device] / max(many - few, 1e-9))


def _seconds(train: Callable[[int], None], epochs: int, device: str) -> float:
    began = time.perf_counter()
    train(epochs)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
