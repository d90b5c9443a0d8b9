"""Java and jars of local servers: pinned, refused when changed, and missing ones named with their remedy."""

import hashlib
import re
from pathlib import Path

import pytest

from jobs.java_servers.jars import Jar, fetch_jars, read_jars
from jobs.java_servers.java import ServerNotReady, find_java
from jobs.lakehouse import spark_environment
from jobs.messages import kafka_server

PUBLISHED = b"as published"
MAVEN = """#!/bin/sh
echo call >> {calls}
for each in "$@"; do case "$each" in -DoutputDirectory=*) folder="${{each#-DoutputDirectory=}}";; esac; done
for name in one two; do grep -q ">$name<" pom.xml && printf 'as published' > "$folder/$name-1.jar"; done
exit 0
"""


def jar(name: str, content: bytes = PUBLISHED) -> Jar:
    return Jar(f"org.example:{name}:1", hashlib.sha256(content).hexdigest())


@pytest.fixture
def maven(tmp_path: Path) -> Path:
    """A folder with an `mvn` that makes the jars its project asks for, and notes in `calls` that it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mvn").write_text(MAVEN.format(calls=folder / "calls"))
    (folder / "mvn").chmod(0o755)
    return folder


def test_missing_jars_are_fetched_with_one_call_and_once(tmp_path: Path, maven: Path) -> None:
    jars, environment = (jar("one"), jar("two")), {"PATH": f"{maven}:/usr/bin:/bin"}
    files = fetch_jars(jars, tmp_path / "jars", environment)
    assert [(file.name, file.read_bytes()) for file in files] == [("one-1.jar", PUBLISHED), ("two-1.jar", PUBLISHED)]
    assert fetch_jars(jars, tmp_path / "jars", environment) == files
    assert (maven / "calls").read_text() == "call\n"


def test_a_fetched_jar_that_differs_is_refused_and_not_kept(tmp_path: Path, maven: Path) -> None:
    with pytest.raises(ServerNotReady, match=r"expected sha256 .*, found "):
        fetch_jars((jar("one", b"another"),), tmp_path / "jars", {"PATH": f"{maven}:/usr/bin:/bin"})
    assert not list((tmp_path / "jars").glob("**/*.jar"))


def test_a_kept_jar_that_was_changed_is_refused(tmp_path: Path) -> None:
    pinned = jar("one")
    (tmp_path / pinned.file_name).write_bytes(PUBLISHED)
    assert fetch_jars((pinned,), tmp_path, {}) == (tmp_path / pinned.file_name,)
    (tmp_path / pinned.file_name).write_bytes(b"tampered with")
    with pytest.raises(ServerNotReady, match=f"expected sha256 {pinned.sha256}, found "):
        fetch_jars((pinned,), tmp_path, {})


def test_a_jar_that_maven_does_not_find_is_named(tmp_path: Path, maven: Path) -> None:
    with pytest.raises(ServerNotReady, match=r"Maven could not fetch org\.example:three:1"):
        fetch_jars((jar("three"),), tmp_path / "jars", {"PATH": f"{maven}:/usr/bin:/bin"})


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path)}
    with pytest.raises(ServerNotReady, match="apt-get install openjdk-17"):
        find_java(nothing)
    with pytest.raises(ServerNotReady, match="apt-get install maven"):
        fetch_jars((jar("one"),), tmp_path / "jars", nothing)


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    with pytest.raises(ServerNotReady, match=r"expected Java 17 or newer in JAVA_HOME.*, found .*11\.0\.2"):
        find_java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize("pins", [spark_environment.JARS_FILE, kafka_server.JARS_FILE], ids=["spark", "kafka"])
def test_every_pin_names_one_version_and_its_sum(pins: Path) -> None:
    jars = read_jars(pins)
    assert all(re.fullmatch(r"[0-9a-f]{64}", each.sha256) and each.coordinates.count(":") == 2 for each in jars)
    assert len({each.coordinates.rpartition(":")[0] for each in jars}) == len(jars)
