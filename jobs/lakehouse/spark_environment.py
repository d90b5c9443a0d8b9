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

from jobs import unfinished
from jobs.errors import EvergreenError
from jobs.state_files import file_lock

JARS_FILE = Path(__file__).with_name("spark_jars.txt")
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PYTHON_PACKAGES = ("pyspark", "pyarrow", "pandas", "polars", "numpy", "onnxruntime")
"""What kernels may import on a cluster, besides the standard library; their dependencies come along."""
OLDEST_JAVA = 17


class SparkNotReady(EvergreenError, RuntimeError):
    """This machine lacks something that a local Apache Spark needs; the message names the remedy."""


@dataclass(frozen=True)
class Jar:
    """One pinned Maven artifact."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True)
class Java:
    """A Java of this machine, and the first line of what it says of its version."""

    path: Path | None
    answer: str
    new_enough: bool


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
    looked for. Raises SparkNotReady.
    """
    cache, environment = cache.absolute(), dict(os.environ if environment is None else environment)
    java = find_java(environment)
    with file_lock(cache / "spark.lock"):
        jars = tuple(fetch_jar(jar, cache / "jars", environment) for jar in read_jars())
        python = build_environment(cache, lock_file, environment)
    spark_home = next(python.parent.parent.glob("lib/python*/site-packages/pyspark"))
    return Prepared(java, python, spark_home, jars, environment)


def look_for_java(environment: Mapping[str, str]) -> Java:
    """The `java` of JAVA_HOME, or else of PATH, whatever it is."""
    home = environment.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH"))
    if java is None:
        return Java(None, "none", False)
    answer = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', answer)
    first_line = (answer.splitlines() or ["one that does not answer"])[0]
    return Java(Path(java).resolve(), first_line, version is not None and int(version[1]) >= OLDEST_JAVA)


def find_java(environment: Mapping[str, str]) -> Path:
    """The `java` of JAVA_HOME, or else of PATH, if it is new enough. Raises SparkNotReady."""
    java, home = look_for_java(environment), environment.get("JAVA_HOME")
    if java.path is None or not java.new_enough:
        raise SparkNotReady(
            f"expected Java {OLDEST_JAVA} or newer{f' in JAVA_HOME={home}' if home else ''}, "
            f"found {java.answer}; apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
        )
    return java.path


def read_jars(jars_file: Path = JARS_FILE) -> tuple[Jar, ...]:
    """The checked-in list of jars and their sums."""
    lines = (line.split() for line in jars_file.read_text().splitlines() if not line.startswith("#"))
    return tuple(Jar(coordinates, sha256) for coordinates, sha256 in filter(None, lines))


def fetch_jar(jar: Jar, folder: Path, environment: Mapping[str, str]) -> Path:
    """The verified jar in `folder`, fetched with Maven if it is not there. Raises SparkNotReady."""
    target = folder / jar.file_name
    if not target.exists():
        unfinished.sweep(folder)
        with unfinished.scratch(folder) as temporary:
            fetched = _download(jar, temporary, environment)
            _verify(jar, fetched)
            fetched.replace(target)
    return _verify(jar, target)


def _download(jar: Jar, folder: Path, environment: Mapping[str, str]) -> Path:
    maven = shutil.which("mvn", path=environment.get("PATH"))
    if maven is None:
        raise SparkNotReady(f"{jar.coordinates} has to be fetched with Maven: apt-get install maven")
    command = [maven, "-B", "-q", MAVEN_COPY, f"-Dartifact={jar.coordinates}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode or not (folder / jar.file_name).exists():
        raise SparkNotReady(f"Maven could not fetch {jar.coordinates}:\n{(done.stdout + done.stderr)[-2000:]}")
    return folder / jar.file_name


def _verify(jar: Jar, file: Path) -> Path:
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != jar.sha256:
        raise SparkNotReady(
            f"{file}: expected sha256 {jar.sha256}, found {actual}; delete the file to fetch it again, "
            f"and do not change {JARS_FILE.name} unless you know why {jar.coordinates} changed"
        )
    return file


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
        raise SparkNotReady("uv is missing from this environment: pip install uv") from error
    if done.returncode:
        raise SparkNotReady(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")


def select(lock: str, names: tuple[str, ...]) -> str:
    """The entries of a `uv pip compile` lock for `names` and what they need, by the lock's own `via` notes."""
    entries = dict(_entries(lock))
    if missing := set(names) - entries.keys():
        raise SparkNotReady(f"requirements.lock: expected entries for {', '.join(names)}; missing {sorted(missing)}")
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
