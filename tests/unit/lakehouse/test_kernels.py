"""Kernels travel to clusters without our dependencies: all that they import, directly or through others, is there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from jobs.registry.import_closure import import_closure
from jobs.settings import ROOT

KERNELS = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in ROOT.glob("jobs/*/*_kernel.py"))
ON_A_CLUSTER = {"numpy", "pandas", "polars", "pyarrow", "onnxruntime"}


def foreign(root: Path, kernel: str) -> set[str]:
    """Libraries that a cluster lacks, among all that a kernel imports."""
    return set(import_closure(root, [kernel]).libraries) - ON_A_CLUSTER - set(sys.stdlib_module_names)


def test_there_are_kernels() -> None:
    assert {name.rpartition(".")[2] for name in KERNELS} >= {
        "window_kernel", "point_in_time_kernel", "scoring_kernel", "drift_kernel",
    }  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_imports_only_what_a_cluster_has(kernel: str) -> None:
    assert not foreign(ROOT, kernel)


def test_another_import_anywhere_below_a_kernel_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs", ignore=shutil.ignore_patterns("__pycache__", "data"))
    below = tmp_path / "jobs" / "features" / "exact_sum.py"
    below.write_text(f"{below.read_text()}\ndef late() -> None:\n    import deltalake\n")
    assert foreign(tmp_path, "jobs.features.window_kernel") == {"deltalake"}
