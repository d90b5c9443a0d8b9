"""The state of the decision service for one use case, opened from a home: tables at pinned versions, then the log."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from jobs.decisions import base_tables, log_contents
from jobs.decisions.decider import PROFILES, Decider
from jobs.decisions.entity_states import EntityStates
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.freed_memory import give_back
from jobs.decisions.log_before import LogBefore
from jobs.decisions.log_contents import BASE, DECISION, PROFILE, Base
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.ledger import pins, rollouts
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import GRACE
from jobs.online.file_log import FileLog
from jobs.online.log_records import Conflict, Log
from jobs.online.log_trimming import trim
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase

TRIM_BYTES = 16 * 2**20
"""A smaller log is left as it is."""
Clock = Callable[[], int]
"""Microseconds since 1970."""


def wall_clock() -> int:
    return time.time_ns() // 1000


def log_file(settings: Settings, use_case: UseCase) -> Path:
    """Where the log of a use case lies."""
    return settings.serving / "decisions" / use_case.name / "log"


@contextlib.contextmanager
def log_of(settings: Settings, use_case: UseCase, clock: Clock = wall_clock) -> Iterator[Log]:
    """The log of a use case while it is used."""
    log = open_log(settings, use_case, clock)
    try:
        yield log
    finally:
        log.close()


def open_log(settings: Settings, use_case: UseCase, clock: Clock = wall_clock) -> Log:
    """The log of a use case, in the online store or a file of the home, made if there is none.

    Raises StoreDown (an OSError) if the store does not answer.
    """
    if settings.online_store_url is not None:
        from jobs.online.redis_log import RedisLog

        reach = GRACE - base_tables.reached(use_case, 0)
        url = settings.online_store_url.reveal()
        return RedisLog(url, f"evergreen:{use_case.name}", reach=reach, now=clock)
    log_file(settings, use_case).parent.mkdir(parents=True, exist_ok=True)
    return FileLog(log_file(settings, use_case), now=clock)


def was_served(settings: Settings, use_case: UseCase) -> bool:
    """Whether there may be decisions of a use case."""
    return settings.online_store_url is not None or log_file(settings, use_case).exists()


@contextlib.contextmanager
def lease(settings: Settings, use_case: UseCase) -> Iterator[IO[str]]:
    """Held by whoever serves a use case; who holds it alone may let the service stand on newer tables."""
    path = settings.home / "locks" / f"decisions.{use_case.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        yield handle


@contextlib.contextmanager
def beside_servers(settings: Settings, use_case: UseCase) -> Iterator[bool]:
    """Whether there may be servers, while nothing is taken from under them: none starts on other tables meanwhile."""
    with lease(settings, use_case) as handle:
        there_may_be = not _alone(handle) or settings.online_store_url is not None
        if there_may_be:
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield there_may_be


def renew(settings: Settings, use_case: UseCase, handle: IO[str], clock: Clock = wall_clock) -> None:
    """Let the service stand on the tables as they are now, unless another server is running; then share its base.

    Raises Invalid if there are no tables, or features are declared that cannot be computed online.
    """
    try:
        if _alone(handle):
            take_base(settings, use_case, clock)
            _trim(settings, use_case)
    finally:  # or the next server would wait for this one to end
        fcntl.flock(handle, fcntl.LOCK_SH)


def take_base(settings: Settings, use_case: UseCase, clock: Clock = wall_clock) -> None:
    """Let the service stand on the tables as they are now, unless servers of other hosts stand on others."""
    with log_of(settings, use_case, clock) as log:
        last, number = last_base(log)
        if last is not None and log.by_entity and log.others(""):  # type: ignore[attr-defined]
            # Servers of other hosts stand on it.
            return
        lakehouse = attach(settings)
        # What is told after this moment may not be in these versions.
        moment, versions = clock(), base_tables.current_versions(lakehouse, use_case)
        rows = base_tables.feature_row(lakehouse, use_case, versions)
        base = Base(versions, moment, fingerprint(rows), rows.computed)
        if last is None or (last.tables, last.declarations) != (base.tables, base.declarations):
            pins.pin(settings, versions, _pinned_by(use_case, number + 1))
            with contextlib.suppress(Conflict):  # a server of another host was faster
                log.append(log_contents.name(BASE, number + 1), log_contents.encode(base))
            pins.unpin(settings, _pinned_by(use_case, number))
            if log.by_entity and rows.profiles:  # which the tables have now
                log.forget(PROFILES, base.moment)  # type: ignore[attr-defined]


def _trim(settings: Settings, use_case: UseCase) -> None:
    """Drop from a log in a file what no window reaches any more, once it is shipped and worth the while."""
    path = log_file(settings, use_case)
    shipped = read_memory(shipped_file(settings, use_case), dict)
    if settings.online_store_url is not None or shipped is None or path.stat().st_size < TRIM_BYTES:
        return
    with FileLog(path) as log:
        base, _ = last_base(log)
    if base is not None:
        position = int(shipped["position"])
        trim(
            path, _needed_from(settings, use_case, base), position, lambda record: record.id.startswith(f"{BASE}/"),
            lambda removed: replace_json(
                shipped_file(settings, use_case), {**shipped, "position": position - removed}
            ),
        )  # fmt: skip


def trim_store(settings: Settings, log: Log, use_case: UseCase, shipped: int) -> None:
    """Drop from a log in a store what nobody needs of what is shipped, up to a stamp."""
    base, _ = last_base(log)
    if log.by_entity and base is not None:
        log.trim(min(_needed_from(settings, use_case, base), shipped), f"{BASE}/")  # type: ignore[attr-defined]


def _needed_from(settings: Settings, use_case: UseCase, base: Base) -> int:
    """The stamp from which on records are needed: by a window of the base, or as evidence on a rollout."""
    live = rollouts.of_use_case(settings, use_case.name, live=True)
    return min([base_tables.reached(use_case, base.moment), *(each.log_stamp for each in live)])


def shipped_file(settings: Settings, use_case: UseCase) -> Path:
    """Where it is kept how far the log was shipped (`jobs.decisions.shipping`)."""
    return log_file(settings, use_case).with_name("shipped.json")


def open_decider(settings: Settings, use_case: UseCase, clock: Clock = wall_clock) -> Decider:
    """What one worker decides with. Raises Invalid if the declarations are not those that the service stands on."""
    log = open_log(settings, use_case, clock)
    try:
        return _folded(settings, use_case, log)
    except BaseException:
        log.close()
        raise


def _folded(settings: Settings, use_case: UseCase, log: Log) -> Decider:
    base, _ = last_base(log)
    if base is None:
        base_tables.current_versions(attach(settings), use_case)
        raise Invalid(
            f"{use_case.name}: expected a base in the decision log, found none; start it by `evergreen serve`"
        )
    return fold(attach(settings), use_case, log, base)


def fold(lakehouse: Lakehouse, use_case: UseCase, log: Log, base: Base) -> Decider:
    """Everything that tables and the log know, as a worker has it."""
    rows = base_tables.feature_row(lakehouse, use_case, base.tables)
    if fingerprint(rows) != base.declarations:
        raise Invalid(
            f"{use_case.name}: expected the declarations that the running servers decide by, found others; end all "
            "servers of this home, then start them anew"
        )
    schema = EventSchema.of(use_case, lakehouse.schema(use_case.events, base.tables[use_case.events]))
    before = LogBefore.of(log.records(), rows)
    facts = base_tables.tables(lakehouse, rows, base.tables, base.moment, before).facts(rows, base.moment)
    give_back()
    read = None if log.by_entity else log.at  # type: ignore[attr-defined]
    decider = Decider(rows, schema, log, EntityStates(facts, schema, read))
    decider.names_since = [(stamp, found.features) for stamp, found in bases(log)]
    if log.by_entity:
        decider.refresh_profiles()
        return decider
    since = base_tables.reached(use_case, base.moment)
    decider.follow(
        record for record in log.records() if record.stamp >= since or record.id.startswith((DECISION, PROFILE))
    )
    return decider


def last_base(log: Log) -> tuple[Base | None, int]:
    """The base that decisions stand on now, and its number; none and 0 of a new log."""
    found = bases(log)
    return (found[-1][1], len(found)) if found else (None, 0)


def bases(log: Log) -> list[tuple[int, Base]]:
    """Everything that decisions ever stood on, each from its stamp on."""
    found: list[tuple[int, Base]] = []
    while (record := log.get(log_contents.name(BASE, len(found) + 1))) is not None:
        found.append((record.stamp, log_contents.decode_as(record.content, Base)))
    return found


def fingerprint(rows: FeatureRow) -> str:
    """A hash of everything declared that a decision's features depend on."""
    use_case = rows.use_case
    functions = [(f.name, f.inputs, list(f.outputs)) for f in (*use_case.computed_online, *use_case.request_features)]
    types = {**_kinds(rows.events), **_kinds(rows.labels)}
    declared = [[windows.fingerprint for windows in use_case.windows], functions, types, rows.names]
    declared += [[each.table, each.id, each.event, _kinds(each.types)] for each in rows.facts]
    declared += [[each.table, each.key, each.event, _kinds(each.types)] for each in rows.profiles]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def _kinds(types: Mapping[str, ColumnType]) -> dict[str, str]:
    return {name: type.kind for name, type in types.items()}


def _pinned_by(use_case: UseCase, number: int) -> str:
    return f"decisions of {use_case.name}, base {number}"


def _alone(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
