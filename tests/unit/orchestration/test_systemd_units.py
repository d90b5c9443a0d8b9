"""The units for systemd are accepted by it, and start commands that exist."""

from __future__ import annotations

import re
import subprocess

import pytest

from jobs.settings import ROOT
from orchestration.cli import main

COMMANDS = {"up", "backup", "maintain", "stream"}
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


def test_they_start_commands_that_exist() -> None:
    text = "\n".join(unit.read_text() for unit in UNITS)
    assert set(re.findall(r"^ExecStart=.*\bevergreen (\w+)", text, re.M)) == COMMANDS
    assert set(main.commands) >= COMMANDS


@pytest.mark.servers
def test_systemd_accepts_them() -> None:
    found = subprocess.run(["systemd-analyze", "verify", *UNITS], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
