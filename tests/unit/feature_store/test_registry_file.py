"""Feast's registry on a full disk or after a kill: the old content stays, and it says which use cases are in it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from jobs.feature_store.registry_file import WholeFileRegistryStore
from jobs.feature_store.store import services_in

pytestmark = pytest.mark.embedded


def of_services(*names: str) -> Registry:
    registry = Registry()
    for name in names:
        registry.feature_services.add().spec.name = name
    return registry


def test_a_write_that_fails_leaves_the_services_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "registry.db"
    store = WholeFileRegistryStore(RegistryConfig(path=str(file)), tmp_path)
    store.update_registry_proto(of_services("fraud"))

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as handle:
            handle.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        store.update_registry_proto(of_services("fraud", "returns"))
    assert services_in(file) == {"fraud"} and [each.name for each in tmp_path.iterdir()] == [file.name]
    monkeypatch.undo()
    store.update_registry_proto(of_services("fraud", "returns"))
    assert services_in(file) == {"fraud", "returns"}


def test_what_is_no_registry_holds_no_services(tmp_path: Path) -> None:
    assert services_in(tmp_path / "registry.db") == set()
    (tmp_path / "registry.db").write_bytes(b"\x0a\xff\xff")
    assert services_in(tmp_path / "registry.db") == set()
