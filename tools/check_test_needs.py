"""Whether this machine has what `make test-all` needs beyond Python; says in one line what is missing.

Only looks; what the tests do with it is theirs.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def java_is_new_enough() -> bool:
    """Whether `java` is there and is 17 or newer, which Apache Spark 4 asks for."""
    if shutil.which("java") is None:
        return False
    output = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', output)
    return version is not None and int(version[1]) >= 17


def postgres_program(name: str) -> str | None:
    """Path of a program of PostgreSQL's server, which Debian keeps out of PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


def haproxy() -> str | None:
    """Path of HAProxy, which Debian keeps out of the PATH of most users."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


def missing(cache: Path = CACHE) -> Iterator[tuple[str, str]]:
    """What is missing, each with the Debian package that brings it."""
    if not java_is_new_enough():
        yield "Java 17", "openjdk-17-jre-headless"
    if shutil.which("mvn") is None and not list(cache.glob("jars/kafka_*.jar")):
        yield "Maven (fetches the jars of Spark and Kafka)", "maven"
    if not any(map(shutil.which, BROWSERS)):
        yield "Chromium", "chromium"
    if shutil.which("redis-server") is None:
        yield "redis-server", "redis-server"
    if haproxy() is None:
        yield "HAProxy", "haproxy"
    if shutil.which("promtool") is None:
        yield "Prometheus", "prometheus"
    if shutil.which("systemd-analyze") is None:
        yield "systemd-analyze", "systemd"
    if postgres_program("initdb") is None:
        yield "PostgreSQL", "postgresql"


def main() -> int:
    lacks = list(missing())
    if not lacks:
        return 0
    names, packages = zip(*lacks, strict=True)
    print(f"make test-all lacks {', '.join(names)}: apt-get install -y {' '.join(packages)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
