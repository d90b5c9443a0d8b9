"""The manifests for Kubernetes: accepted by its schemas, hardened, and true about the server that they start."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from worlds.locked_environments import INSTALL, locked_environment

from jobs.settings import ROOT, VARIABLES
from orchestration.cli import main
from serving.process import DRAIN_SECONDS
from serving.web.access import OPEN_PATHS

pytestmark = pytest.mark.embedded

FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
CHECKERS = Path(__file__).parent / "checkers"
MANIFESTS = {found["kind"]: found for file in FILES for found in yaml.safe_load_all(file.read_text())}
DOCKERFILE = (INSTALL.parent / "Dockerfile").read_text()
KINDS = {
    "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount",
    "PersistentVolumeClaim",
}  # fmt: skip
VERSIONS = ("1.30", "1.37")


def pod() -> dict[str, Any]:
    found: dict[str, Any] = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def validated(version: str, *files: Path) -> subprocess.CompletedProcess[str]:
    program = locked_environment("deploy-checkers", CHECKERS / "requirements.lock") / "kubernetes-validate"
    command = [str(program), "--strict", "-k", version, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_accept_them(version: str) -> None:
    found = validated(version, *FILES)
    assert found.returncode == 0, found.stdout + found.stderr
    assert MANIFESTS.keys() == KINDS and len(FILES) == len(KINDS)


def test_the_schemas_refuse_a_misspelt_field(tmp_path: Path) -> None:
    wrong = tmp_path / "deployment.yaml"
    wrong.write_text((FOLDER / "deployment.yaml").read_text().replace("readinessProbe", "readynessProbe"))
    assert validated(VERSIONS[-1], wrong).returncode != 0


def test_a_pod_has_no_right_that_it_does_not_need() -> None:
    security, own = pod()["securityContext"], container()["securityContext"]
    assert security["runAsNonRoot"] and security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}\n" in DOCKERFILE
    assert own == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod()["automountServiceAccountToken"] is False


def test_keys_are_named_and_not_held() -> None:
    names = {variable.name for variable in VARIABLES}
    assert {each["name"] for each in container()["env"]} <= names
    keys = next(each for each in pod()["volumes"] if "secret" in each)
    mounted = {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}
    given = {each["name"]: each["value"] for each in container()["env"]}
    assert given["EVERGREEN_API_KEYS"].startswith(mounted[keys["name"]] + "/")


def test_what_is_written_is_mounted() -> None:
    (home,) = re.findall(r"^VOLUME (.+)$", DOCKERFILE, re.MULTILINE)
    assert {home, "/tmp"} <= {each["mountPath"] for each in container()["volumeMounts"] if not each.get("readOnly")}


def test_it_starts_a_command_with_these_options_and_the_images_version() -> None:
    name, *options = container()["args"]
    known = {option for parameter in main.commands[name].params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container()["image"] == f"evergreen-serve:{version}"


def test_probes_ask_what_the_server_answers_without_a_key() -> None:
    ports = {each["name"]: str(each["containerPort"]) for each in container()["ports"]}
    asked = {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: each["path"] for name, each in asked.items()} == {
        "startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz",
    }  # fmt: skip
    assert {each["path"] for each in asked.values()} <= set(OPEN_PATHS)
    assert {ports[each["port"]] for each in asked.values()} <= set(container()["args"])
    assert {each["targetPort"] for each in MANIFESTS["Service"]["spec"]["ports"]} == ports.keys()


def test_a_pod_has_time_to_answer_what_runs() -> None:
    waits = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= waits + DRAIN_SECONDS


def test_every_manifest_means_the_same_pods() -> None:
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert MANIFESTS[kind]["spec"]["selector"]["matchLabels"] == labels
    target = MANIFESTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", MANIFESTS["Deployment"]["metadata"]["name"])


def test_one_pod_is_the_default_as_its_log_is_of_one_host() -> None:
    found = MANIFESTS["HorizontalPodAutoscaler"]["spec"]
    assert (found["minReplicas"], found["maxReplicas"]) == (1, 1)
    assert "replicas" not in MANIFESTS["Deployment"]["spec"]
    assert container()["resources"].keys() == {"requests", "limits"}
