"""Online stores that never move a value back in time: Feast's SQLite and Redis stores with a guarded write.

A row is applied only if its (event time, created time) is not before the stored one. So writing twice changes nothing,
batches may come in any order, a correction of the same event replaces it, and a backfill does not.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key, _redis_key_prefix
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, _versioned_fv_name
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _quote_id, _table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.utils import to_naive_utc
from google.protobuf.timestamp_pb2 import Timestamp

from jobs.errors import Invalid
from jobs.feature_store import exact_integers

exact_integers.install()

OnlineRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
WriteProgress = Callable[[int], Any] | None
Batch = tuple[FeatureView, list[OnlineRow]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS_PER_QUERY = 500
_SCALARS = frozenset({"string_val", "int32_val", "int64_val", "float_val", "double_val", "bool_val"})
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
        self, config: RepoConfig, table: FeatureView, data: list[OnlineRow], progress: WriteProgress = None
    ) -> None:
        """Apply every row that is not older than what is stored, all in one transaction."""
        self.write_views(config, [(table, data)])
        if progress:
            progress(len(data))

    def write_views(self, config: RepoConfig, batches: Sequence[Batch]) -> None:
        """The same of several views in one transaction, as the disk is waited for in each."""
        if config.online_store.vector_enabled or config.online_store.enable_openai_compatible_store:
            raise Invalid("online_store: expected no vector search, found it enabled; use Feast's own SQLite store")
        connection: sqlite3.Connection = self._get_conn(config)
        connection.execute(f"pragma busy_timeout = {_BUSY_MILLISECONDS}")
        # With less room SQLite writes pages early, and waits for the disk before each of them.
        connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
        # A store that was deleted, or never applied to, is made anew by what fills it.
        self.update(config, [], [table for table, _ in batches], [], [], partial=True)
        # Taken before the times are read: another writer must not come in between.
        connection.execute("begin immediate")
        with connection:
            for table, data in batches:
                name = _table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
                _apply(connection, name, _newest(data, lambda key: _serialized(config, key)))

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
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        connection = self._get_conn(config)
        versioning = config.registry.enable_online_feature_view_versioning
        for table in tables_to_delete:
            connection.execute(f"drop table if exists {_guard(_table_id(config.project, table, versioning))}")
        for table in tables_to_keep:
            _create_guard(connection, _table_id(config.project, table, versioning))


def _apply(connection: sqlite3.Connection, name: str, newest: dict[bytes, OnlineRow]) -> None:
    """Write the rows of one view that are not older than those that are there."""
    stored = _stored_times(connection, name, list(newest))
    applied = {key: row for key, row in newest.items() if key not in stored or _times(row) >= stored[key]}
    # A row that is there is updated in its place: to replace it would write its entries in two indexes again.
    connection.executemany(
        f"insert into {_quote_id(name)} "
        "(entity_key, feature_name, value, value_text, event_ts, created_ts) values (?, ?, ?, ?, ?, ?) "
        "on conflict (entity_key, feature_name) do update set value = excluded.value, "
        "value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = excluded.created_ts",
        _feature_rows(applied),
    )
    connection.executemany(
        f"insert or replace into {_guard(name)} values (?, ?, ?)",
        ((key, *_times(row)) for key, row in applied.items()),
    )


def _guard(name: str) -> str:
    return str(_quote_id(f"{name}__written"))


def _create_guard(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(
        f"create table if not exists {_guard(name)} "
        "(entity_key blob primary key, event_us integer, created_us integer) without rowid"
    )


def _stored_times(connection: sqlite3.Connection, name: str, keys: list[bytes]) -> dict[bytes, tuple[int, int]]:
    stored: dict[bytes, tuple[int, int]] = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"select * from {_guard(name)} where entity_key in ({marks})", some)
        stored |= {key: (event, created) for key, event, created in rows}
    return stored


def _feature_rows(rows: dict[bytes, OnlineRow]) -> Iterable[tuple[Any, ...]]:
    # Sorted, as the table's index is: neighbours are on one page.
    for key, (_, values, event, created) in sorted(rows.items(), key=lambda item: item[0]):
        # Seconds of the naive time, as Feast's own adapter makes them and its converter expects them.
        times = [None if at is None else int(to_naive_utc(at).timestamp()) for at in (event, created)]
        for feature, value in values.items():
            kind = value.WhichOneof("val")
            text = str(getattr(value, kind)) if kind in _SCALARS else None
            yield key, feature, value.SerializeToString(), text, *times


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
        self, config: RepoConfig, table: FeatureView, data: list[OnlineRow], progress: WriteProgress = None
    ) -> None:
        """Apply every row that is not older than what is stored; one atomic script per entity, sent in one go."""
        self.write_views(config, [(table, data)])
        if progress:
            progress(len(data))

    def write_views(self, config: RepoConfig, batches: Sequence[Batch]) -> None:
        """The same of several views in one go, as an answer is waited for in each."""
        options: Any = config.online_store
        client: Any = self._get_client(options)
        script, seconds = client.register_script(_WRITE), options.key_ttl_seconds or 0
        with client.pipeline(transaction=False) as pipe:
            for table, data in batches:
                view = _versioned_fv_name(table, config)
                for key, row in _newest(data, lambda key: _hash_name(config, key)).items():
                    script(
                        keys=[key], args=[f"_written:{view}", _sortable(row), seconds, *_fields(view, row)], client=pipe
                    )
            pipe.execute()

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[OnlineRow], progress: WriteProgress = None
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


def _hash_name(config: RepoConfig, key: EntityKey) -> bytes:
    return bytes(_redis_key(config.project, key, config.entity_key_serialization_version))


@cache
def _field(view: str, feature: str) -> bytes:
    """The name of a feature in an entity's hash."""
    return bytes(_mmh3(f"{view}:{feature}"))


def _fields(view: str, row: OnlineRow) -> list[bytes | str]:
    _, values, event, _ = row
    time = Timestamp()
    time.FromDatetime(_aware(event))
    fields: list[bytes | str] = [f"_ts:{view}", time.SerializeToString()]
    for feature, value in values.items():
        fields += [_field(view, feature), value.SerializeToString()]
    return fields


def _newest(data: Iterable[OnlineRow], key_of: Callable[[EntityKey], bytes]) -> dict[bytes, OnlineRow]:
    """The newest row per entity; of rows with equal times the last one."""
    newest: dict[bytes, OnlineRow] = {}
    for row in data:
        key = key_of(row[0])
        if key not in newest or _times(row) >= _times(newest[key]):
            newest[key] = row
    return newest


def _serialized(config: RepoConfig, key: EntityKey) -> bytes:
    return bytes(serialize_entity_key(key, entity_key_serialization_version=config.entity_key_serialization_version))


def _times(row: OnlineRow) -> tuple[int, int]:
    """Event and created time in microseconds since 1970; without a created time a row counts as the earliest."""
    return _microseconds(row[2]), _microseconds(row[3]) if row[3] else -(2**62)


def _microseconds(moment: datetime) -> int:
    return (_aware(moment) - _EPOCH) // timedelta(microseconds=1)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _sortable(row: OnlineRow) -> str:
    """The times as text of fixed width, whose order is theirs; Redis' numbers would round microseconds."""
    return "".join(f"{micros + 2**62:020d}" for micros in _times(row))
