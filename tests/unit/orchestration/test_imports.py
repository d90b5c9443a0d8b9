"""What a command imports before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.embedded


def test_commands_are_there_before_polars_is() -> None:
    """Its import takes SIGINT over, after which a process that waits for another one is not interrupted any more."""
    code = "import sys, orchestration.cli; print('polars' in sys.modules, 'pyarrow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split()[0] == "False"
