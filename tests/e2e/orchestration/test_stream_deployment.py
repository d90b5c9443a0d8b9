"""The deployment of a stream and its image: accepted by their checkers, hardened, and of one process."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from worlds.locked_environments import INSTALL, locked_environment

from jobs.processes import this_process
from jobs.settings import ROOT, VARIABLES, Settings
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

pytestmark = pytest.mark.embedded

MANIFEST = ROOT / "deploy" / "kubernetes" / "stream" / "deployment.yaml"
DEPLOYMENT: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())["spec"]
POD = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
DOCKERFILE = INSTALL.parent / "stream.Dockerfile"
CHECKERS = ROOT / "tests" / "e2e" / "serving" / "checkers" / "requirements.lock"
OF_SERVER = ROOT / "deploy" / "kubernetes" / "deployment.yaml", INSTALL.parent / "Dockerfile"


def checked(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(locked_environment("deploy-checkers", CHECKERS) / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_the_schemas_accept_the_manifest(version: str) -> None:
    found = checked("kubernetes-validate", "--strict", "-k", version, str(MANIFEST))
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_linter_accepts_the_image() -> None:
    found = checked("hadolint", str(DOCKERFILE))
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_a_pod_has_the_rights_of_one_of_the_server_and_no_more() -> None:
    server = yaml.safe_load(OF_SERVER[0].read_text())["spec"]["template"]["spec"]
    assert POD["securityContext"] == server["securityContext"] and POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == server["containers"][0]["securityContext"]
    assert CONTAINER["resources"].keys() == {"requests", "limits"}


def test_there_is_one_process_at_a_time() -> None:
    assert DEPLOYMENT["replicas"] == 1 and DEPLOYMENT["strategy"] == {"type": "Recreate"}


def test_it_starts_a_command_that_exists() -> None:
    group, name, *options = CONTAINER["args"]
    command = main.commands[group].commands[name]  # type: ignore[attr-defined]
    assert set(options[::2]) <= {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_its_probes_ask_whether_it_said_something_in_the_last_minutes(tmp_path: Path, probe: str) -> None:
    def good() -> bool:
        command, environment = CONTAINER[probe]["exec"]["command"], {**os.environ, "EVERGREEN_HOME": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0

    assert not good()
    own = Settings(home=tmp_path)
    control.beat(own, FRAUD, Heartbeat(0.0, this_process(), "running"))
    assert good()
    os.utime(control.folder(own, FRAUD) / "heartbeat.json", (0, 0))
    assert not good()


def test_the_image_has_the_base_and_the_user_of_the_servers_and_what_it_names() -> None:
    text, server = DOCKERFILE.read_text(), OF_SERVER[1].read_text()
    for instruction in ("FROM", "USER", "VOLUME"):
        assert re.findall(rf"^{instruction} .+$", text, re.M) == re.findall(rf"^{instruction} .+$", server, re.M)
    named = set(re.findall(r"\b(EVERGREEN_\w+)=", text))
    assert named <= {variable.name for variable in VARIABLES}
    sent = re.findall(r"^!(.+)$", Path(f"{DOCKERFILE}.dockerignore").read_text(), re.M)
    assert set(re.findall(r"^COPY (\w+) ", text, re.M)) <= set(sent)
    assert [name for name in sent if not (ROOT / name).exists()] == []
