"""The tables that the decision service starts from, read without an engine: pinned versions of events, labels, other
facts and profiles."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.decisions.base_facts import BaseFacts
from jobs.decisions.event_schema import kind_of, needed_columns
from jobs.decisions.fact_schema import fact_schema
from jobs.decisions.feature_row import FactColumns, FeatureRow, ProfileColumns
from jobs.decisions.log_before import Absorbed, LogBefore, ToldBefore
from jobs.decisions.log_contents import of_facts
from jobs.decisions.profiles import Profiles
from jobs.errors import Invalid
from jobs.features.clock import DECIDED_AT, filled
from jobs.lakehouse.envelope import TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import GRACE
from jobs.profiles import ProfileFeatures
from jobs.times import NEVER
from jobs.use_case import UseCase
from jobs.windows import FACT_ID, FactMart

_MICROSECOND = timedelta(microseconds=1)
_INSTANT = pa.timestamp("us", "UTC")


def current_versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    """Latest versions of the tables of events, labels, other facts and profiles. Raises Invalid if there are none."""
    profiles = [use_case.profile_table(profile) for profile in use_case.profiles]
    return versions_of(lakehouse, use_case, profiles)


def versions_of(lakehouse: Lakehouse, use_case: UseCase, profiles: Sequence[str] = ()) -> dict[str, int]:
    """Latest versions of the tables of all facts, and of some profiles. Raises Invalid if there are none."""
    others = [mart.table for mart in fact_marts(use_case).values()]
    found = lakehouse.versions([use_case.events, use_case.labels, *others, *profiles])
    if missing := [table for table, version in found.items() if version is None]:
        raise Invalid(f"{use_case.name}: expected the tables {missing}, found none; run `evergreen run`")
    return {table: version for table, version in found.items() if version is not None}


def fact_marts(use_case: UseCase) -> dict[str, FactMart]:
    """By source the tables of facts that window features count and that are no events."""
    found = {windows.facts: use_case.fact_mart(windows) for windows in use_case.windows}
    return {source: mart for source, mart in found.items() if source is not None and mart is not None}


def feature_row(lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int]) -> FeatureRow:
    """How rows of features are made, by the types that tables have.

    Raises Invalid if a table lacks a column, or is not there.
    """
    events = lakehouse.schema(use_case.events, versions[use_case.events])
    labels = lakehouse.schema(use_case.labels, versions[use_case.labels])
    read = dict.fromkeys([use_case.label, *(name for windows in use_case.windows for name in windows.label_columns)])
    types = _types(use_case.labels, labels, read)
    # Streams stand on no profiles, nor do servers that began before one was declared.
    there = [profile for profile in use_case.profiles if use_case.profile_table(profile) in versions]
    profiles = tuple(_profile(lakehouse, use_case, profile, versions) for profile in there)
    facts = tuple(_facts(lakehouse, use_case, source, mart, versions) for source, mart in fact_marts(use_case).items())
    return FeatureRow.of(use_case, events, types, profiles, facts)


def _facts(
    lakehouse: Lakehouse, use_case: UseCase, source: str, mart: FactMart, versions: Mapping[str, int]
) -> FactColumns:
    if not lakehouse.exists(mart.table):
        raise Invalid(f"{use_case.name}: expected the table {mart.table}, found none; run `evergreen run`")
    # Servers that began before it was counted stand on no version of it, and are told apart by their declarations.
    held, windows = lakehouse.schema(mart.table, versions.get(mart.table)), use_case.windows
    keys = tuple(dict.fromkeys(key for each in windows if each.facts == source for key in each.keys))
    read = dict.fromkeys(name for each in windows if each.facts == source for name in each.fact_columns)
    needed = dict.fromkeys([mart.id, mart.event_timestamp, "known_at", "superseded_at", *keys, *read])
    _expect(mart.table, held, needed)
    types = {FACT_ID: ColumnType(kind_of(mart.id, held.field(mart.id).type), nullable=False)}
    types |= _types(mart.table, held, [*keys, *read])
    schema = fact_schema(use_case.source(source), held, types)
    return FactColumns(source, mart.table, mart.id, mart.event_timestamp, keys, types, schema)


def _types(table: str, held: pa.Schema, names: Iterable[str]) -> dict[str, ColumnType]:
    _expect(table, held, names)
    return {name: ColumnType(kind_of(name, held.field(name).type)) for name in names}


def _expect(table: str, held: pa.Schema, names: Iterable[str]) -> None:
    if missing := [name for name in names if name not in held.names]:
        raise Invalid(f"{table}: expected the columns {missing}, found none; run `evergreen run`")


def _profile(
    lakehouse: Lakehouse, use_case: UseCase, profile: ProfileFeatures, versions: Mapping[str, int]
) -> ProfileColumns:
    table, source = use_case.profile_table(profile), use_case.source(profile.source)
    held = lakehouse.schema(table, versions[table])
    _expect(table, held, [source.key[0], source.event_time, "known_at", "superseded_at"])
    return ProfileColumns(source.name, table, source.key[0], source.event_time, _types(table, held, profile.columns))


@dataclass(frozen=True)
class Tables:
    """Events, labels, other facts and profiles as `BaseFacts.of` takes them."""

    events: pa.Table
    labels: pa.Table
    absorbed: Absorbed
    profiles: Mapping[str, pa.Table] = field(default_factory=dict)
    """By the name of the table."""
    others: Mapping[str, pa.Table] = field(default_factory=dict)
    """Facts that are no events, by their source."""

    def facts(self, rows: FeatureRow, moment: int) -> BaseFacts:
        """The same as arrays by entity."""
        profiles = Profiles.of(rows, self.profiles) if self.profiles else Profiles()
        made = BaseFacts.of(rows, moment, self.events, self.labels, self.others)
        return replace(made, absorbed=self.absorbed, profiles=profiles)


def tables(
    lakehouse: Lakehouse, rows: FeatureRow, versions: Mapping[str, int], moment: int, before: LogBefore
) -> Tables:
    """What tables know that a decision from a moment (microseconds since 1970) on can reach.

    Args:
        before: what the log says before that moment. Where tables have an event that was decided, it is known from its
            stamp on, whatever they say, and was decided then; what was told ends what they said of it before.
    """
    use_case = rows.use_case
    since = reached(use_case, moment)
    events = read(lakehouse, rows, "events", versions, since)
    labels = read(lakehouse, rows, "labels", versions, since)
    told: dict[str, list[ToldBefore]] = defaultdict(list)
    for each in before.told:
        told[each.of].append(each)
    events, of_events = _after_told(events, use_case.event_id, told["events"], moment)
    labels, of_labels = _after_told(labels, use_case.event_id, told["labels"], moment)
    others, said = {}, of_events | of_labels
    for fact in rows.facts:
        found = read_facts(lakehouse, rows, fact, versions, since)
        others[fact.source], of_others = _after_told(found, FACT_ID, told[of_facts(fact.source)], moment)
        said |= of_others
    events, decided = _decided(use_case, events, before.decided)
    profiles = {each.table: read_profiles(lakehouse, each, versions) for each in rows.profiles}
    return Tables(events, labels, Absorbed(decided, said), profiles, others)


def read_profiles(lakehouse: Lakehouse, profile: ProfileColumns, versions: Mapping[str, int]) -> pa.Table:
    """All versions of a profile, also those that are known later."""
    names = dict.fromkeys([profile.key, profile.event, "known_at", "superseded_at", *profile.types])
    found = lakehouse.to_arrow(profile.table, versions[profile.table], list(names))
    there = [found.column(name).is_valid() for name in (profile.key, profile.event, "known_at")]
    return found.filter(functools.reduce(pc.and_, there))


def read_facts(
    lakehouse: Lakehouse,
    rows: FeatureRow,
    facts: FactColumns,
    versions: Mapping[str, int],
    since: int,
    also: Sequence[Any] = (),
) -> pa.Table:
    """The facts of a source that happened since a moment, named as `jobs.features.window_kernel.compute` takes them.

    Args:
        also: what else has to hold of a row (as in `Lakehouse.to_arrow`).
    """
    happened: list[Any] = [(facts.event, ">=", datetime.fromtimestamp(since // 1_000_000, UTC)), *also]
    columns = [name for name in facts.types if name != FACT_ID]
    wanted = dict.fromkeys([facts.id, facts.event, "known_at", "superseded_at", *columns])
    found = lakehouse.to_arrow(facts.table, versions[facts.table], list(wanted), happened)
    named = {FACT_ID: found.column(facts.id), rows.use_case.event_timestamp: found.column(facts.event).cast(_INSTANT)}
    return pa.table(named | {name: found.column(name) for name in ("known_at", "superseded_at", *columns)})


def reached(use_case: UseCase, moment: int) -> int:
    """The earliest moment that decisions from a moment on reach back to, in microseconds since 1970."""
    return moment - max(windows.history for windows in use_case.windows) // _MICROSECOND - GRACE


def read(
    lakehouse: Lakehouse, rows: FeatureRow, of: str, versions: Mapping[str, int], since: int, also: Sequence[Any] = ()
) -> pa.Table:
    """The events, or the labels, that happened since a moment, with what decisions read of them.

    Args:
        also: what else has to hold of a row (as in `Lakehouse.to_arrow`).
    """
    use_case = rows.use_case
    table = use_case.events if of == "events" else use_case.labels
    schema = lakehouse.schema(table, versions[table])
    keys = [key for windows in use_case.windows if windows.facts is None for key in windows.keys]
    columns = needed_columns(use_case) if of == "events" else (use_case.event_id, *keys, *rows.labels)
    wanted = dict.fromkeys([*columns, use_case.event_timestamp, "known_at", "superseded_at"])
    extra = [name for name in ("version", "decided_at") if name in schema.names]
    # A corrected event may lie in the partition of its first version.
    happened: list[Any] = [(use_case.event_timestamp, ">=", datetime.fromtimestamp(since // 1_000_000, UTC)), *also]
    found = lakehouse.to_arrow(table, versions[table], [*wanted, *extra], happened)
    found = found.set_column(
        found.column_names.index(use_case.event_timestamp),
        use_case.event_timestamp,
        found.column(use_case.event_timestamp).cast(_INSTANT),
    )
    return _arrived(lakehouse, use_case, found) if of == "events" else found


def _arrived(lakehouse: Lakehouse, use_case: UseCase, events: pa.Table) -> pa.Table:
    """Versions of events, with `decided_at` if any came over a topic."""
    raw = use_case.raw_events
    if raw is None or not lakehouse.exists(raw) or TOPIC not in lakehouse.schema(raw).names:
        return events
    import polars as pl  # which a server without topics does without

    from jobs.features.arrivals import Arrivals

    arrivals = Arrivals.of(lakehouse, raw, use_case.event_id)
    if arrivals is None or "version" not in events.column_names:
        return events
    timed: Any = arrivals.on(pl.DataFrame(events).lazy())
    decided = timed.select(DECIDED_AT).collect().to_arrow().column(DECIDED_AT).cast(_INSTANT)
    if DECIDED_AT in events.column_names:
        events = events.drop_columns([DECIDED_AT])
    return events.append_column(DECIDED_AT, decided)


def _decided(use_case: UseCase, events: pa.Table, decided: Mapping[Any, int]) -> tuple[pa.Table, frozenset[Any]]:
    """The events with `is_target` and `decided_at`, those of the log with their stamps; and the ids of these."""
    is_first = (
        pc.equal(events.column("version"), 1) if "version" in events.column_names else pa.repeat(True, len(events))
    )
    events = events.append_column("is_target", is_first)
    if "decided_at" not in events.column_names:
        events = events.append_column("decided_at", pa.nulls(len(events), _INSTANT))
    ids = pa.array(list(decided), events.schema.field(use_case.event_id).type)
    place = pc.index_in(events.column(use_case.event_id), value_set=ids)
    place = pc.if_else(is_first, place, None)
    mine = np.flatnonzero(place.is_valid().to_numpy())
    if not len(mine):
        return events, frozenset()
    stamps = pa.array(np.fromiter(decided.values(), np.int64, len(decided))).cast(_INSTANT)
    own = stamps.take(place.combine_chunks())
    for name in ("known_at", "decided_at"):
        column = pc.coalesce(own, events.column(name).cast(_INSTANT))
        events = events.set_column(events.column_names.index(name), name, column)
    return events, frozenset(events.column(use_case.event_id).take(pa.array(mine)).to_pylist())


def _after_told(table: pa.Table, id: str, told: Sequence[ToldBefore], moment: int) -> tuple[pa.Table, frozenset[int]]:
    """The rows as far as nothing later was told, and the stamps of what they say too, or say something newer than."""
    words = _last_words(table, id, {each.id for each in told}, moment)
    said = frozenset(each.stamp for each in told if each.moment <= words.get(each.id, each.moment - 1))
    first: dict[Any, int] = {}
    for each in told:
        if each.stamp not in said:
            first.setdefault(each.id, each.stamp)
    return ended(table, id, first), said


def _last_words(table: pa.Table, id: str, ids: set[Any], moment: int) -> dict[Any, int]:
    """When the last became known, up to a moment, that a table says of each of some ids."""
    mine = table.filter(pc.is_in(table.column(id), value_set=pa.array(list(ids), table.schema.field(id).type)))
    words: dict[Any, int] = {}
    for column in ("known_at", "superseded_at"):
        for each, at in zip(mine.column(id).to_pylist(), _moments(mine, column).tolist(), strict=True):
            if at <= moment:
                words[each] = max(at, words.get(each, at))
    return words


def ended(table: pa.Table, id: str, moments: Mapping[Any, int]) -> pa.Table:
    """The rows where something else holds of some ids from given moments on: later rows about them are left out."""
    if not moments:
        return table
    ids = pa.array(list(moments), table.schema.field(id).type)
    place = filled(pc.index_in(table.column(id), value_set=ids).cast(pa.int64()), -1)
    until = np.append(np.fromiter(moments.values(), np.int64, len(moments)), NEVER)[place]
    gone = np.minimum(_moments(table, "superseded_at"), until)
    column = pa.array(gone, mask=gone == NEVER).cast(_INSTANT)
    table = table.set_column(table.column_names.index("superseded_at"), "superseded_at", column)
    return table.filter(pa.array(_moments(table, "known_at") <= until))


def _moments(table: pa.Table, column: str) -> np.ndarray[Any, Any]:
    return filled(table.column(column).cast(_INSTANT).cast(pa.int64()), NEVER)  # type: ignore[no-any-return]
