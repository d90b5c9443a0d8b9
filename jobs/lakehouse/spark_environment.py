"""What a local Apache Spark needs on this machine: Java, pinned jars, and a Python environment without our package.

Everything lands in a cache folder and is reused; starting the server: see `jobs.lakehouse.spark_server`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.java_servers.jars import fetch_jars, read_jars
from jobs.java_servers.java import ServerNotReady, find_java
from jobs.state_files import file_lock

JARS_FILE = Path(__file__).with_name("spark_jars.txt")
PYTHON_PACKAGES = ("pyspark", "pyarrow", "pandas", "polars", "numpy", "onnxruntime")
"""What kernels may import on a cluster, besides the standard library; their dependencies come along."""


@dataclass(frozen=True)
class Prepared:
    """A machine ready to start Spark: everything `spark_server.start` needs."""

    java: Path
    python: Path
    spark_home: Path
    jars: tuple[Path, ...]
    environment: Mapping[str, str]


def prepare(cache: Path, lock_file: Path, environment: Mapping[str, str] | None = None) -> Prepared:
    """Find Java, fetch and verify the jars, build the Python environment; quick when all of it is there.

    `environment` (default: this process's own) is what child processes get, and where `java` and `mvn` are
    looked for. Raises ServerNotReady.
    """
    if not lock_file.is_file():
        raise ServerNotReady(
            f"local Spark: expected a checkout of Evergreen with {lock_file.name}, which its Python packages are from, "
            f"found none at {lock_file.parent}; run it in a checkout, or set SPARK_REMOTE to a Spark that runs"
        )
    cache, environment = cache.absolute(), dict(os.environ if environment is None else environment)
    java = find_java(environment)
    with file_lock(cache / "spark.lock"):
        jars = fetch_jars(read_jars(JARS_FILE), cache / "jars", environment)
        python = build_environment(cache, lock_file, environment)
    spark_home = next(python.parent.parent.glob("lib/python*/site-packages/pyspark"))
    return Prepared(java, python, spark_home, jars, environment)


def build_environment(cache: Path, lock_file: Path, environment: Mapping[str, str]) -> Path:
    """Python of a venv that holds only what a cluster would: hash-pinned packages of the lock, not ours."""
    requirements = select(lock_file.read_text(), PYTHON_PACKAGES)
    home = cache / f"spark-env-{hashlib.sha256((requirements + sys.version).encode()).hexdigest()[:12]}"
    python, complete = home / "bin" / "python", home / "complete"
    if not complete.exists():
        shutil.rmtree(home, ignore_errors=True)
        _uv(environment, "venv", "--python", sys.executable, str(home))
        (home / "requirements.txt").write_text(requirements)
        arguments = ["--no-deps", "--require-hashes", "-r", str(home / "requirements.txt")]
        _uv(environment, "pip", "install", "--python", str(python), *arguments)
        complete.touch()
    return python


def _uv(environment: Mapping[str, str], *arguments: str) -> None:
    uv = Path(sys.prefix) / "bin" / "uv"
    command = [str(uv) if uv.exists() else "uv", "--quiet", *arguments]
    try:
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ServerNotReady("uv is missing from this environment: pip install uv") from error
    if done.returncode:
        raise ServerNotReady(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")


def select(lock: str, names: tuple[str, ...]) -> str:
    """The entries of a `uv pip compile` lock for `names` and what they need, by the lock's own `via` notes."""
    entries = dict(_entries(lock))
    if missing := set(names) - entries.keys():
        raise ServerNotReady(f"requirements.lock: expected entries for {', '.join(names)}; missing {sorted(missing)}")
    selected = set(names)
    while more := {name for name, text in entries.items() if _via(text) & selected} - selected:
        selected |= more
    return "".join(entries[name] for name in sorted(selected))


def _entries(lock: str) -> Iterator[tuple[str, str]]:
    for text in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]:
        yield re.split(r"[=\[ ]", text, maxsplit=1)[0], text


def _via(entry: str) -> set[str]:
    comments = " ".join(line.strip(" #") for line in entry.splitlines() if line.strip().startswith("#"))
    return set(comments.removeprefix("via").split())
