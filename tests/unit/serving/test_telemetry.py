"""No process of ours lets ONNX Runtime tell its maker about models; by default it would, from its first import on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.exported_models import made

from jobs.registry import bundle
from jobs.settings import ROOT

OURS = "from jobs import settings; import onnxruntime"
ON_A_CLUSTER = """
import os, sys
from pathlib import Path
from jobs.scoring import scoring_kernel
os.environ.pop("ORT_DISABLE_TELEMETRY", None)  # as where `jobs.settings` is not
graph = Path(sys.argv[1]).read_bytes()
scoring_kernel._session(graph, __import__("hashlib").sha256(graph).hexdigest())
"""


def kept(home: Path, code: str, *arguments: str) -> list[str]:
    """Names of files that a process leaves in the folder of its user, as the sender does. It is not on in CI."""
    home.mkdir()
    outside = {name: text for name, text in os.environ.items() if name in ("PATH", "OPENBLAS_CORETYPE")}
    environment = {**outside, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    return [file.name for file in home.rglob("*") if file.is_file()]


@pytest.mark.parametrize("code", [OURS, ON_A_CLUSTER], ids=["ours", "on a cluster"])
def test_it_keeps_nothing_to_send(tmp_path: Path, code: str) -> None:
    made(tmp_path / "bundle")
    assert kept(tmp_path / "home", code, str(tmp_path / "bundle" / bundle.GRAPH)) == []
