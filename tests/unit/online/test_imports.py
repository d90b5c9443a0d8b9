"""What decides while somebody waits starts without the libraries of the nightly half."""

import subprocess
import sys

import pytest

from jobs.registry.import_closure import import_closure
from jobs.settings import ROOT

pytestmark = pytest.mark.embedded


def test_the_room_imports_numpy_pyarrow_and_numba_only() -> None:
    modules = ["jobs.online.entity_facts", "jobs.online.file_log"]
    assert set(import_closure(ROOT, modules).libraries) - set(sys.stdlib_module_names) == {"numba", "numpy", "pyarrow"}


def test_what_compiles_in_one_thread_leaves_the_streams_of_all_alone() -> None:
    program = "import jobs.settings; from numba.core import errors; print(errors.termcolor().errmsg('as it is'))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said == "as it is\n"
