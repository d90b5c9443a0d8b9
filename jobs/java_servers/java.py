"""Which Java this machine has, and what is raised where it lacks what a local server needs."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import EvergreenError

OLDEST_JAVA = 17


class ServerNotReady(EvergreenError, RuntimeError):
    """This machine lacks something that a local server needs, or one did not start; the message names the remedy."""


@dataclass(frozen=True)
class Java:
    """A Java of this machine, and the first line of what it says of its version."""

    path: Path | None
    answer: str
    new_enough: bool


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
    """The `java` of JAVA_HOME, or else of PATH, if it is new enough. Raises ServerNotReady."""
    java, home = look_for_java(environment), environment.get("JAVA_HOME")
    if java.path is None or not java.new_enough:
        raise ServerNotReady(
            f"expected Java {OLDEST_JAVA} or newer{f' in JAVA_HOME={home}' if home else ''}, "
            f"found {java.answer}; apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
        )
    return java.path
