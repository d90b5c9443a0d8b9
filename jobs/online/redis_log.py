"""The ordered log in Redis, for any number of workers on any hosts: the same records, and facts by entity.

One script appends: it knows an id again, stamps, writes, and returns of each entity that the record is about what this
worker has not seen yet. So any worker decides about any event exactly, and holds only the entities that it was asked
about. Facts that no window reaches are dropped from an entity's list; positions go on counting. A list that nothing was
added to for so long goes as a whole. Positions begin at the stamp of a list's first fact, so that none comes twice: a
worker whose positions a list has not, or not any more, begins anew. In the script the name of an entity whose facts are
never dropped begins with `+`, and that of one which a record only hears of with `>`.

    {prefix}:epoch        of this log: another one, or none, means that the store was flushed or restored
    {prefix}:stamps       id -> stamp
    {prefix}:last         the last stamp
    {prefix}:log          stream of all records; the id of an entry is its stamp
    {prefix}:open         ids of records that were announced as open, by stamp, until they are closed
    {prefix}:facts:NAME   list of the records of an entity
    {prefix}:first:NAME   position of its first one
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.online.log_records import Answer, Appended, Conflict, Entry, Log, OfEntity, Record, Seen, StoreDown

TIMEOUT_SECONDS = 1.0
PAGE = 1000
_APPEND = """
local prefix, epoch, now, reach, entries = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('GET', prefix .. ':epoch') ~= epoch then return {'epoch'} end
local place, have, kept = 6, {}, string.format('%.0f', reach / 1000 + 1)

local function append(id, content, opens, closes)
  local last = tonumber(redis.call('GET', prefix .. ':last') or '0')
  local stamp = now
  if stamp <= last then stamp = last + 1 end
  local text = string.format('%.0f', stamp)
  redis.call('SET', prefix .. ':last', text)
  redis.call('HSET', prefix .. ':stamps', id, text)
  redis.call('XADD', prefix .. ':log', text .. '-0', 'id', id, 'content', content)
  if opens == '1' then redis.call('ZADD', prefix .. ':open', text, id) end
  if closes ~= '' then redis.call('ZREM', prefix .. ':open', closes) end
  return stamp, text
end

local function trim(facts, first, stamp)
  local count = 0
  while count < 64 do
    local oldest = redis.call('LINDEX', facts, 0)
    if not oldest or tonumber(string.match(oldest, '^%d+')) >= stamp - reach then break end
    redis.call('LPOP', facts)
    count = count + 1
  end
  if count > 0 then redis.call('INCRBY', first, count) end
  return count
end

local function of_entity(name, seen, stamp, text, content)
  local kind = string.sub(name, 1, 1)
  if kind == '+' or kind == '>' then name = string.sub(name, 2) end
  local facts, first = prefix .. ':facts:' .. name, prefix .. ':first:' .. name
  if kind ~= '>' then redis.call('SET', first, text, 'NX') end
  local begins, size = tonumber(redis.call('GET', first) or '0'), redis.call('LLEN', facts)
  seen = have[name] or seen
  local from, lost = seen - begins, 0
  if from < 0 or from > size then
    if seen > 0 then lost = 1 end
    from = 0
  end
  local found = redis.call('LRANGE', facts, from, -1)
  if kind ~= '>' then size = redis.call('RPUSH', facts, text .. ' ' .. content) end
  have[name] = begins + size
  if kind == '+' or kind == '>' then return {lost, have[name], found} end
  if size > 64 then trim(facts, first, stamp) end
  redis.call('PEXPIRE', facts, kept)
  redis.call('PEXPIRE', first, kept)
  return {lost, have[name], found}
end

local answers = {}
for number = 1, entries do
  local id, content, opens, closes = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]
  local entities = tonumber(ARGV[place + 4])
  place = place + 5
  local known = redis.call('HGET', prefix .. ':stamps', id)
  if known then
    local entry = redis.call('XRANGE', prefix .. ':log', known .. '-0', known .. '-0')[1]
    answers[number] = {'known', known, entry and entry[2][4] or false}
  else
    local stamp, text = append(id, content, opens, closes)
    local answer = {'new', text}
    for at = place, place + 2 * entities - 2, 2 do
      answer[#answer + 1] = of_entity(ARGV[at], tonumber(ARGV[at + 1]), stamp, text, content)
    end
    answers[number] = answer
  end
  place = place + 2 * entities
end
return answers
"""
_TRIM = """
local prefix, start, last, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local entries = redis.call('XRANGE', prefix .. ':log', start, last .. '-0', 'COUNT', 500)
for _, entry in ipairs(entries) do
  local id = entry[2][2]
  if string.sub(id, 1, #keep) ~= keep then
    redis.call('XDEL', prefix .. ':log', entry[1])
    redis.call('HDEL', prefix .. ':stamps', id)
  end
end
redis.call('ZREMRANGEBYSCORE', prefix .. ':open', '-inf', last)
return entries[#entries] and entries[#entries][1]
"""
"""Drops some records; the last that it looked at, if there is any."""

_FORGET = """
local facts, before, count = ARGV[1] .. ':facts:' .. ARGV[2], tonumber(ARGV[3]), 0
while true do
  local oldest = redis.call('LINDEX', facts, 0)
  if not oldest or tonumber(string.match(oldest, '^%d+')) >= before then break end
  redis.call('LPOP', facts)
  count = count + 1
end
if count > 0 then redis.call('INCRBY', ARGV[1] .. ':first:' .. ARGV[2], count) end
"""
"""Drops the facts of an entity that are stamped before a moment."""


class StoreChanged(StoreDown):
    """The store was flushed, or holds another log than the one that this worker stands on."""


class RedisLog(Log):
    """A log in a store that others share; safe for several threads."""

    by_entity = True

    def __init__(self, url: str, prefix: str, *, reach: int, now: Callable[[], int]) -> None:
        """
        Args:
            prefix: begins the names of all keys.
            reach: microseconds for which an entity's facts are kept.
            now: microseconds since 1970.

        Raises StoreDown if nothing answers there.
        """
        self._prefix, self._reach, self.now = prefix, reach, now
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 1)
        )
        self._append, self._trim, self._forget = map(self._redis.register_script, (_APPEND, _TRIM, _FORGET))
        self.epoch = self._asked(self._begin)

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()

    def append_all(self, entries: Sequence[Entry]) -> list[Answer]:
        """Stamp records and write them, in one call; an id that is there already is not written again.

        An entity that several of them are about is told of once: with each what came since the one before.

        Raises:
            StoreDown: nothing was appended, as far as can be told.
        """
        given: list[Any] = [self._prefix, self.epoch, self.now(), self._reach, len(entries)]
        for each in entries:
            kept, seen = "+" if each.is_kept else "", each.seen
            named = [(f"{kept}{name}", count) for name, count in seen]
            named += [(f">{name}", count) for name, count in each.hears]
            given += [each.id, each.content, int(each.opens), each.closes, len(named), *chain.from_iterable(named)]
        found = self._asked(lambda: self._append(keys=[], args=given))
        if found[:1] == [b"epoch"]:
            raise StoreChanged("online store: expected the log that this server stands on, found none, or another one")
        return [_answer(entry, each) for entry, each in zip(entries, found, strict=True)]

    def facts(self, seen: Seen) -> OfEntity:
        """What a worker has not seen of an entity, without a record of its own."""
        name, count = seen
        first, found = f"{self._prefix}:first:{name}", f"{self._prefix}:facts:{name}"

        def read() -> tuple[int, list[bytes]]:
            with self._redis.pipeline() as pipeline:
                pipeline.get(first)
                pipeline.lrange(found, 0, -1)
                begins, facts = pipeline.execute()
            return int(begins or 0), facts

        begins, facts = self._asked(read)
        is_whole = not begins <= count <= begins + len(facts)
        new = facts if is_whole else facts[count - begins :]
        return OfEntity([_fact(each) for each in new], is_whole and count > 0, begins + len(facts))

    def tail(self) -> list[Record]:
        """Nothing: what others appended comes with an entity."""
        return []

    def last_stamp(self) -> int:
        """The stamp of the last record; 0: there is none."""
        entries = self._asked(lambda: self._redis.xrevrange(f"{self._prefix}:log", count=1))
        return _record(entries[0]).stamp if entries else 0

    def get(self, id: str) -> Record | None:
        """A record."""
        stamp = self._asked(lambda: self._redis.hget(f"{self._prefix}:stamps", id))
        if stamp is None:
            return None
        entries = self._asked(
            lambda: self._redis.xrange(f"{self._prefix}:log", f"{stamp.decode()}-0", f"{stamp.decode()}-0")
        )
        return _record(entries[0]) if entries else None

    def records(self, after: int = 0) -> Iterator[Record]:
        """Every record behind a stamp."""
        start = f"({after}-0" if after else "-"
        while entries := self._page(start):
            yield from map(_record, entries)
            start = f"({entries[-1][0].decode()}"

    def trim(self, before: int, keep: str) -> None:
        """Drop the records that are stamped before a moment, but for those whose ids begin with `keep`.

        Some at a time, so that nobody waits for long. An id that is gone with its record counts as new.
        """
        start = "-" if before > 0 else None
        while start is not None:
            given: list[str | int] = [self._prefix, start, before - 1, keep]
            last = self._asked(functools.partial(self._trim, keys=[], args=given))
            start = None if last is None else f"({last.decode()}"

    def forget(self, name: str, before: int) -> None:
        """Drop the facts of an entity that are stamped before a moment, where they are kept otherwise."""
        self._asked(lambda: self._forget(keys=[], args=[self._prefix, name, before]))

    def open_records(self, before: int) -> list[str]:
        """Ids of records that were announced as open before a stamp and are not closed."""
        found = self._asked(lambda: self._redis.zrangebyscore(f"{self._prefix}:open", "-inf", before))
        return [id.decode() for id in found]

    def announce(self, name: str, seconds: float) -> None:
        """Tell others for so many seconds that somebody of this name is there."""
        self._asked(lambda: self._redis.set(f"{self._prefix}:alive:{name}", "1", px=round(seconds * 1000)))

    def others(self, name: str) -> bool:
        """Whether anybody of another name is there."""
        mine = f"{self._prefix}:alive:{name}".encode()
        return any(key != mine for key in self._asked(lambda: list(self._redis.scan_iter(f"{self._prefix}:alive:*"))))

    def _page(self, start: str) -> list[Any]:
        entries: list[Any] = self._asked(lambda: self._redis.xrange(f"{self._prefix}:log", start, "+", PAGE))
        return entries

    def _begin(self) -> str:
        self._redis.set(f"{self._prefix}:epoch", secrets.token_hex(8), nx=True)
        return self._redis.get(f"{self._prefix}:epoch").decode()  # type: ignore[union-attr, no-any-return]

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except redis.RedisError as error:
            raise StoreDown(
                f"online store: expected Redis that answers, found {type(error).__name__}; start it, or correct "
                "EVERGREEN_ONLINE_STORE"
            ) from error


def _answer(entry: Entry, found: list[Any]) -> Answer:
    kind, stamp, *rest = found
    if kind == b"known":
        record = Record(int(stamp), entry.id, rest[0] or b"", int(stamp))
        return Appended(record, False, []) if record.content == entry.content else Conflict(record)
    of_entities = [OfEntity([_fact(each) for each in facts], bool(lost), size) for lost, size, facts in rest]
    return Appended(Record(int(stamp), entry.id, entry.content, int(stamp)), True, [], of_entities)


def _fact(text: bytes) -> tuple[int, bytes]:
    stamp, _, content = text.partition(b" ")
    return int(stamp), content


def _record(entry: Any) -> Record:
    stamp = int(entry[0].partition(b"-")[0])
    fields = entry[1]
    return Record(stamp, fields[b"id"].decode(), fields[b"content"], stamp)
