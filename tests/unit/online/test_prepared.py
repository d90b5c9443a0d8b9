"""What compiles scans beside a server neither keeps its output open nor says anything into it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded
SERVER = """
import sys, time
from pathlib import Path
from jobs.online.scanning import prepared
sys.executable = sys.argv[1]
prepared.prepare_beside()
while not Path(sys.argv[2]).exists():
    time.sleep(0.01)
print("served", flush=True)
"""


def test_who_reads_what_a_server_says_does_not_wait_for_what_it_compiles(tmp_path: Path) -> None:
    compiler, started = tmp_path / "python", tmp_path / "started"
    says = f"echo compiling\necho $$ > {started}.new\nmv {started}.new {started}"
    compiler.write_text(f"#!/bin/sh\n{says}\nexec sleep 600\n")
    compiler.chmod(0o755)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    server = [sys.executable, "-c", SERVER, str(compiler), str(started)]
    done = subprocess.run(server, env=environment, capture_output=True, text=True, timeout=120, check=False)
    os.kill(int(started.read_text()), signal.SIGKILL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "")
