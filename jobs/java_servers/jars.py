"""Pinned jars: fetched with Maven once, kept in a folder, and verified whenever they are used.

A list of pins is a checked-in text file: Maven coordinates and sha256 in each line.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import unfinished
from jobs.java_servers.java import ServerNotReady
from jobs.state_files import file_lock

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_PROJECT = (
    "<project><modelVersion>4.0.0</modelVersion><groupId>evergreen</groupId><artifactId>jars</artifactId>"
    "<version>1</version><packaging>pom</packaging><dependencies>{}</dependencies></project>"
)
# What a jar needs itself is pinned as well, or not wanted.
_ALONE = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"

_TAGS = ("groupId", "artifactId", "version", "type", "classifier")


@dataclass(frozen=True)
class Jar:
    """One pinned Maven artifact."""

    coordinates: str
    """Group, artifact and version; type and classifier too, if it is no plain jar."""
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version, *more = self.coordinates.split(":")
        kind, classifier = more or ("jar", "")
        return f"{'-'.join(filter(None, (artifact, version, classifier)))}.{kind}"

    @property
    def dependency(self) -> str:
        """What a project of Maven says to get this jar alone."""
        tags = zip(_TAGS, self.coordinates.split(":"), strict=False)
        return f"<dependency>{''.join(f'<{tag}>{text}</{tag}>' for tag, text in tags)}{_ALONE}</dependency>"


def read_jars(pins: Path) -> tuple[Jar, ...]:
    """The jars of a list of pins."""
    lines = (line.split() for line in pins.read_text().splitlines() if not line.startswith("#"))
    return tuple(Jar(coordinates, sha256) for coordinates, sha256 in filter(None, lines))


def fetch_jars(jars: Sequence[Jar], folder: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The verified jars in `folder`; those that are not there are fetched, with one call of Maven.

    `environment` is Maven's, and where `mvn` is looked for. Raises ServerNotReady.
    """
    with file_lock(folder / "jars.lock"):
        if missing := [jar for jar in jars if not (folder / jar.file_name).exists()]:
            unfinished.sweep(folder)
            with unfinished.scratch(folder) as temporary:
                _download(missing, temporary, environment)
                for jar in missing:
                    _verify(jar, temporary / jar.file_name).replace(folder / jar.file_name)
    return tuple(_verify(jar, folder / jar.file_name) for jar in jars)


def _download(jars: Sequence[Jar], folder: Path, environment: Mapping[str, str]) -> None:
    names = ", ".join(jar.coordinates for jar in jars)
    maven = shutil.which("mvn", path=environment.get("PATH"))
    if maven is None:
        raise ServerNotReady(f"Maven has to fetch {names}: apt-get install maven")
    (folder / "pom.xml").write_text(_PROJECT.format("".join(jar.dependency for jar in jars)))
    command = [maven, "-B", "-q", _COPY, f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode or not all((folder / jar.file_name).exists() for jar in jars):
        raise ServerNotReady(f"Maven could not fetch {names}:\n{(done.stdout + done.stderr)[-2000:]}")


def _verify(jar: Jar, file: Path) -> Path:
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != jar.sha256:
        raise ServerNotReady(
            f"{file}: expected sha256 {jar.sha256}, found {actual}; delete the file to fetch it again, "
            f"and do not change the sum in the list of jars unless you know why {jar.coordinates} changed"
        )
    return file
