"""Online stores that never move a value back in time: Feast's SQLite and Redis stores with a guarded write.

A row is applied only if its (event time, created time) is not before the stored one. So writing twice changes nothing,
batches may come in any order, a correction of the same event replaces it, and a backfill does not.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key, _redis_key_prefix
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, _versioned_fv_name
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from jobs.errors import Invalid
from jobs.feature_store import exact_integers, sqlite_rows
from jobs.feature_store.online_rows import Batch, FeastRow, OnlineRow, batches_of

exact_integers.install()

WriteProgress = Callable[[int], Any] | None

_BUSY_MILLISECONDS = 60_000
_CACHE_KIB = 131_072
"""The most that pages of one transaction may take; those of 10,000 entities of 20 features take half of it."""


class LakehouseSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Options of `online_store: {type: jobs.feature_store.online_store.LakehouseSqliteOnlineStore}`: those of Feast's
    SQLite."""

    type: Literal["jobs.feature_store.online_store.LakehouseSqliteOnlineStore"] = (
        "jobs.feature_store.online_store.LakehouseSqliteOnlineStore"  # type: ignore[assignment]
    )


class LakehouseSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite store; a second table per feature view holds the times of each entity's row."""

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[FeastRow], progress: WriteProgress = None
    ) -> None:
        """Apply every row that is not older than what is stored, all in one transaction."""
        self.write_views(config, batches_of(table, data, lambda key: self.entity_name(config, key)))
        if progress:
            progress(len(data))

    def entity_name(self, config: RepoConfig, key: EntityKey) -> bytes:
        """What the store calls an entity."""
        return bytes(
            serialize_entity_key(key, entity_key_serialization_version=config.entity_key_serialization_version)
        )

    def write_views(self, config: RepoConfig, batches: Sequence[Batch]) -> None:
        """The same of several views in one transaction, as the disk is waited for in each."""
        if config.online_store.vector_enabled or config.online_store.enable_openai_compatible_store:
            raise Invalid("online_store: expected no vector search, found it enabled; use Feast's own SQLite store")
        connection: sqlite3.Connection = self._get_conn(config)
        connection.execute(f"pragma busy_timeout = {_BUSY_MILLISECONDS}")
        # With less room SQLite writes pages early, and waits for the disk before each of them.
        connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
        # A store that was deleted, or never applied to, is made anew by what fills it.
        self.update(config, [], [batch.view for batch in batches], [], [], partial=True)
        # Taken before the times are read: another writer must not come in between.
        connection.execute("begin immediate")
        with connection:
            for batch in batches:
                sqlite_rows.apply(connection, _table_name(config, batch.view), batch.features, batch.newest)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """As Feast's; a dropped view's guard goes with it."""
        connection = self._get_conn(config)
        for table in tables_to_delete:
            sqlite_rows.drop(connection, _table_name(config, table))
        for table in tables_to_keep:
            sqlite_rows.create(connection, _table_name(config, table))


def _table_name(config: RepoConfig, view: FeatureView) -> str:
    return str(_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))


class LakehouseRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Options of `online_store: {type: jobs.feature_store.online_store.LakehouseRedisOnlineStore}`: those of Feast's
    Redis."""

    type: Literal["jobs.feature_store.online_store.LakehouseRedisOnlineStore"] = (
        "jobs.feature_store.online_store.LakehouseRedisOnlineStore"  # type: ignore[assignment]
    )


# KEYS: the entity's hash. ARGV: guard field, times as sortable text, seconds to live or 0, then field, value, ...
# The comparison and the write are one step for Redis, so that no other writer comes in between.
_WRITE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and stored > ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], unpack(ARGV, 4))
if ARGV[3] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
"""


class LakehouseRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis store; one more field per feature view in an entity's hash holds the times of its row."""

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[FeastRow], progress: WriteProgress = None
    ) -> None:
        """Apply every row that is not older than what is stored; one atomic script per entity, sent in one go."""
        self.write_views(config, batches_of(table, data, lambda key: self.entity_name(config, key)))
        if progress:
            progress(len(data))

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        """As Feast's, whose client tries for up to ten seconds; a stream waits for it, and tries again itself."""
        is_new = not self._client
        client: Any = super()._get_client(online_store_config)
        if is_new and isinstance(client, Redis):
            client.set_retry(Retry(ConstantBackoff(0.05), 2))
        return client

    def entity_name(self, config: RepoConfig, key: EntityKey) -> bytes:
        """The name of an entity's hash."""
        return bytes(_redis_key(config.project, key, config.entity_key_serialization_version))

    def write_views(self, config: RepoConfig, batches: Sequence[Batch]) -> None:
        """The same of several views in one go, as an answer is waited for in each."""
        options: Any = config.online_store
        client: Any = self._get_client(options)
        script, seconds = client.register_script(_WRITE), options.key_ttl_seconds or 0
        with client.pipeline(transaction=False) as pipe:
            for batch in batches:
                view = _versioned_fv_name(batch.view, config)
                guard, time, *fields = _names(view, batch.features)
                for entity, row in batch.newest.items():
                    args = [guard, _sortable(row), seconds, time, _timestamp(row.event)]
                    script(keys=[entity], args=[*args, *chain(*zip(fields, row.values, strict=True))], client=pipe)
            pipe.execute()

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[FeastRow], progress: WriteProgress = None
    ) -> None:
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """As Feast's; the guard goes with the view, or it would refuse the view's next rows."""
        super().delete_table(config, table)
        client: Any = self._get_client(config.online_store)
        every = b"".join([_redis_key_prefix(table.join_keys), b"*", config.project.encode("utf8")])
        with client.pipeline(transaction=False) as pipe:
            for key in client.scan_iter(every):
                pipe.hdel(key, f"_written:{_versioned_fv_name(table, config)}")
            pipe.execute()


@cache
def _names(view: str, features: tuple[str, ...]) -> list[bytes]:
    """Fields of an entity's hash: of the guard, of Feast's time, and of features."""
    own = [f"_written:{view}".encode(), f"_ts:{view}".encode()]
    return [*own, *(bytes(_mmh3(f"{view}:{feature}")) for feature in features)]


def _timestamp(moment: int) -> bytes:
    seconds, micros = divmod(moment, 1_000_000)
    return bytes(Timestamp(seconds=seconds, nanos=1000 * micros).SerializeToString())


def _sortable(row: OnlineRow) -> str:
    """The times as text of fixed width, whose order is theirs; Redis' numbers would round microseconds."""
    return f"{row.event + 2**62:020d}{row.created + 2**62:020d}"
