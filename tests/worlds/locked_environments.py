"""Environments of their own, each of a lock, for programs that Evergreen itself does not need; kept in `.cache`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock

from jobs.settings import ROOT

PACKAGES = ("orchestration", "assets", "serving", "jobs")
INSTALL = ROOT / "deploy" / "image" / "install.sh"


def locked_environment(name: str, lock: Path) -> Path:
    """The folder of programs of an environment that holds what a lock says, built once."""

    def build(place: Path) -> None:
        uv, python = str(Path(sys.prefix) / "bin" / "uv"), str(place / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
        # Named, as uv would otherwise take the environment that it runs in.
        sync = [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock)]
        subprocess.run(sync, check=True)

    return _kept(name, lock.read_text(), build)


def serving_install() -> Path:
    """The folder of programs of a serving install of this checkout, made as its image makes it."""
    files = [INSTALL, ROOT / "pyproject.toml", ROOT / "requirements-serve.lock"]
    files += [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*")) if file.suffix != ".pyc"]
    content = hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()

    def build(place: Path) -> None:
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        environment["PYTHON"] = sys.executable
        subprocess.run(["sh", INSTALL, ROOT, place], check=True, env=environment)

    return _kept("serving-install", content, build)


def _kept(name: str, content: str, build: Callable[[Path], None]) -> Path:
    place = ROOT / ".cache" / name
    place.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{place}.lock"):
        marker = place / "installed.lock"
        if not marker.exists() or marker.read_text() != content:
            marker.unlink(missing_ok=True)
            build(place)
            marker.write_text(content)
    return place / "bin"
