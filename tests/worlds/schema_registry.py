"""A real schema registry of a test: Apicurio's, which speaks Confluent's REST API and keeps its schemas in memory."""

from __future__ import annotations

import json
import os
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.java_servers import process
from jobs.java_servers.jars import Jar, fetch_jars
from jobs.java_servers.java import find_java
from jobs.loopback import HOST, ending_with_parent, free_port
from jobs.settings import ROOT

# 2.6 is the last that runs on Java 17.
RELEASE = Jar(
    "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all",
    "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
)
PROGRAM = "apicurio-registry-app-2.6.13.Final-runner.jar"
# One compiler, one collector and a small heap: it starts in two thirds of the time.
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class SchemaRegistry:
    """A registry; starts with the block, and ends with it."""

    def __init__(self, folder: Path) -> None:
        """folder: of its program and its log."""
        self.url = f"http://{HOST}:{free_port()}/apis/ccompat/v7"
        self._folder = folder
        self._running: process.Running | None = None

    def __enter__(self) -> Self:
        (archive,) = fetch_jars([RELEASE], ROOT / ".cache" / "jars", os.environ)
        with tarfile.open(archive) as packed:
            packed.extractall(self._folder, filter="data")
        port = self.url.split(":")[2].split("/")[0]
        options = (f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={port}")
        command = [str(find_java(os.environ)), *JVM, *options, "-jar", str(self._folder / PROGRAM)]
        with (self._folder / "registry.log").open("ab") as log:
            self._running = process.start(ending_with_parent(command), self.url, self._folder, log, os.environ)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; again does nothing."""
        assert self._running is not None
        self._running.stop()

    def register(
        self, subject: str, schema: Any, kind: str = "AVRO", references: Sequence[Mapping[str, Any]] = ()
    ) -> int:
        """Register a schema as the next version of a subject; returns its number."""
        body = {"schema": json.dumps(schema), "schemaType": kind, "references": references}
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        address = f"{self.url}/subjects/{subject}/versions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(json.load(answer)["id"])
