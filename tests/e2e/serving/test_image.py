"""The Dockerfile of the server: accepted by its linter, pinned, without root and secrets; needs no engine.

What its only RUN does, and that it serves, is in `test_serving_install.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from worlds.locked_environments import INSTALL, locked_environment

from jobs.settings import ROOT
from orchestration.cli import main
from serving.web.access import OPEN_PATHS

pytestmark = pytest.mark.embedded

DOCKERFILE = INSTALL.parent / "Dockerfile"
CHECKERS = Path(__file__).parent / "checkers"
TEXT = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())


def lines(instruction: str) -> list[str]:
    """What follows each of the instructions of one kind."""
    return re.findall(rf"^{instruction} (.+)$", TEXT, re.MULTILINE)


def sent() -> list[str]:
    """The files and folders that the engine is sent."""
    return [line[1:] for line in DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().split() if line[0] == "!"]


def test_its_linter_accepts_it() -> None:
    hadolint = locked_environment("deploy-checkers", CHECKERS / "requirements.lock") / "hadolint"
    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_every_base_is_pinned_by_its_digest() -> None:
    bases = lines("FROM")
    assert len(bases) == 2 and len({base.split()[0] for base in bases}) == 1
    assert re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", bases[-1])


def test_it_runs_without_root_and_holds_no_secret() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", lines("USER")[-1])
    assert not re.search(r"^(ENV|ARG).*(KEY|TOKEN|SECRET|PASSWORD)", TEXT, re.MULTILINE)


def test_what_it_starts_is_a_command_with_these_options() -> None:
    program, (name, *options) = json.loads(lines("ENTRYPOINT")[0]), json.loads(lines("CMD")[0])
    assert program == ["evergreen"]
    known = {option for parameter in main.commands[name].params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    assert set(options[1::2]) >= set(lines("EXPOSE")[0].split())


def test_its_health_is_asked_where_no_key_is_needed() -> None:
    asked = re.search(r"http://127\.0\.0\.1:8080(/\w+)", lines("HEALTHCHECK")[0])
    assert asked and asked[1] in OPEN_PATHS


def test_the_engine_is_sent_what_the_installation_reads_and_nothing_else() -> None:
    script = INSTALL.read_text()
    copied = re.findall(r"^cp -R (.+) \"", script, re.MULTILINE)[0].split()
    read = {*copied, *re.findall(r"[\w-]+\.lock", script), str(INSTALL.relative_to(ROOT))}
    assert set(sent()) == read
    assert [name for name in sent() if not (ROOT / name).exists()] == []
