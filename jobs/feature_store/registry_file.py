"""Feast's registry as a file that is written whole or not at all; Feast's own store writes over what is there."""

from __future__ import annotations

import uuid

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.utils import _utc_now

from jobs.state_files import replace_bytes


class WholeFileRegistryStore(FileRegistryStore):
    """FileRegistryStore of which a reader, also after a kill or on a full disk, finds the old or the new content."""

    def _write_registry(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        replace_bytes(self._filepath, registry_proto.SerializeToString())
