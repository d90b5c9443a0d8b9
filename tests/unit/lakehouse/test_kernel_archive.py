"""What a cluster gets: the whole package, which needs nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from unit.lakehouse.test_kernels import KERNELS, ON_A_CLUSTER

from jobs.lakehouse.kernel_archive import package_zip
from jobs.settings import ROOT

ON_THE_CLUSTER = """
import builtins, importlib, sys

archive, libraries, kernels = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
sys.path.insert(0, archive)
allowed = {"jobs", *libraries, *sys.stdlib_module_names}
original = builtins.__import__

def import_(name, globals=None, locals=None, fromlist=(), level=0):
    ours = (globals or {}).get("__name__", "").startswith("jobs")
    if ours and not level and name.partition(".")[0] not in allowed:
        raise ModuleNotFoundError(f"a cluster has no {name}")
    return original(name, globals, locals, fromlist, level)

builtins.__import__ = import_
for kernel in kernels:
    importlib.import_module(kernel)
ours = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "jobs"}
assert set(kernels) <= ours.keys()
assert all(file.startswith(archive) for file in ours.values()), ours
"""


def test_the_archive_holds_every_room(tmp_path: Path) -> None:
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "jobs").rglob("*.py")}
    assert {"jobs/arrays.py", "jobs/models/runtime.py", "jobs/scoring/scoring_kernel.py"} <= sources
    with zipfile.ZipFile(package_zip(folder=tmp_path)) as archive:
        assert set(archive.namelist()) == sources


def test_kernels_can_be_imported_from_the_archive_alone(tmp_path: Path) -> None:
    archive = str(package_zip(folder=tmp_path))
    arguments = [archive, ",".join(ON_A_CLUSTER), *KERNELS]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ON_THE_CLUSTER, *arguments],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_same_sources_are_the_same_file(tmp_path: Path) -> None:
    assert package_zip(folder=tmp_path).read_bytes() == package_zip(folder=tmp_path / "other").read_bytes()
