"""Serving takes the libraries of its own lock, and none of those that only the lineage needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from worlds.exported_models import export, made

from jobs import settings
from jobs.settings import ROOT

IMPORTING = """
import importlib, json, pkgutil, socket, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
from orchestration.cli import main
main(["keys", "list"], standalone_mode=False)
with socket.create_server(("127.0.0.1", 0)) as taken:
    main(["serve", "--port", str(taken.getsockname()[1])], standalone_mode=False)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
"""Imports all modules of some packages, lists keys, and serves a home up to the port, which is taken."""
SERVING = tuple(
    name
    for name in ("serving", "jobs.online", "jobs.decisions")
    if ROOT.joinpath(*name.split("."), "__init__.py").exists()
)
NAME = re.compile(r"[\w.-]+")


def extras() -> dict[str, list[str]]:
    """Extra -> distributions that it names; `base` for those of every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [named(each) for each in wanted] for extra, wanted in listed.items()}


def named(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found, requirement
    return found[0].lower().replace("_", "-")


def pins(lock: str) -> dict[str, str]:
    """Distribution -> its version in a lock."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("light")
    export(settings.load({"EVERGREEN_HOME": str(folder / "home")}), 3, made(folder / "bundle"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERGREEN_HOME": str(folder / "home")}
    command = [sys.executable, "-c", IMPORTING, *SERVING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "expected a free port" in done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_no_library_of_the_lineage_is_imported(imported: set[str]) -> None:
    heavy = set(extras()["lineage"])
    modules = {
        name for name, owners in metadata.packages_distributions().items() if heavy & {o.lower() for o in owners}
    }
    assert {"torch", "pyspark", "dagster", "feast", "mlflow", "pandas", "sklearn", "optuna"} <= modules
    # Numba looks whether there is a scipy, and needs none.
    assert sorted(modules & imported - {"scipy"}) == []


def test_the_service_itself_was_imported(imported: set[str]) -> None:
    assert {"serving", "starlette", "uvicorn", "grpc", "onnxruntime"} <= imported


def test_the_lock_of_serving_holds_what_serving_names_and_nothing_of_the_lineage() -> None:
    serving = pins("requirements-serve.lock")
    assert {*extras()["base"], *extras()["serve"]} <= serving.keys()
    assert sorted(serving.keys() & {*extras()["lineage"], *extras()["dev"]}) == []


def test_both_locks_pin_the_same_versions() -> None:
    everything, serving = pins("requirements.lock"), pins("requirements-serve.lock")
    assert {name: everything.get(name) for name in serving} == serving


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-serve.lock"])
def test_every_pin_of_a_lock_has_a_hash_and_no_host(lock: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert entries and [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in "".join(entries)
