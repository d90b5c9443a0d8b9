"""Which targets of a window table have other features than before: those that new and changed facts reach.

How they are computed anew: see `jobs.features.window_tables`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.features import fact_frames
from jobs.features.clock import DECIDED_AT
from jobs.features.fact_frames import EPOCH, arrived, micros
from jobs.features.stamps import Stamps
from jobs.features.update_inputs import FACTS, MICROSECOND, Inputs
from jobs.lakehouse.tables import PARTITION, of_days

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Targets:
    """Targets of some days."""

    days: tuple[date, ...]
    """Daily partitions, ascending."""
    ids: pl.Series | None = None
    """Of events; None: all targets of the days."""


@dataclass(frozen=True)
class Changes:
    """What the facts of an update hold that the last one did not see."""

    inputs: Inputs
    target: str
    """The table of window features."""
    state: Mapping[str, Any]
    """What the last update left in it."""

    def reached(self) -> Targets:
        """Targets that a changed fact may reach, or that are themselves new, moved or withdrawn.

        One by one where this process computes them; a cluster computes whole days, and collects no ids.
        """
        together = self._reached() if self._may_have_changed() else None
        if together is None:
            return Targets(())
        if not self.inputs.in_process or self.inputs.lakehouse.scan(self.target) is None:
            return Targets(fact_frames.days(together))
        found = pl.DataFrame(together.distinct().toArrow())
        days = found[PARTITION].unique().sort().to_list()
        return Targets(tuple(days), found[self.inputs.features.id].unique())

    def _reached(self) -> "DataFrame | None":
        """Ids and days of these targets, some of them several times; None if there are none."""
        spans = self._spans()
        earliest = spans.selectExpr("min(start)").collect()[0][0]
        found = [*self._own, self._moved]
        if earliest is not None:
            found.append(self._targets_in(spans, earliest))
        elif self._are_facts:
            return None
        named = [rows.select(self.inputs.features.id, PARTITION) for rows in found]
        return reduce(lambda some, more: some.union(more), named)

    @cached_property
    def _own(self) -> list["DataFrame"]:
        """Changed events, and, if there are any, those that were decided at other moments than it seemed."""
        stamps = self._unseen_stamps
        return [self._changed("events"), *([] if stamps is None else [self._stamped_anew(stamps)])]

    @cached_property
    def _moved(self) -> "DataFrame":
        """All versions of events of which one came or ended that is not the only one.

        One that became known before what we took for the first: that one is no target any more.
        """
        from pyspark.sql.connect.functions import expr

        id, several = self.inputs.features.id, "version > 1 or superseded_at is not null"
        changed = [rows.where(several).select(id) for rows in (self._own[0], self._loaded("events"))]
        ids = changed[0].union(changed[1]).selectExpr(f"`{id}` as moved")
        return self.inputs.read("events").join(ids, expr(f"`{id}` = moved"), "left_semi")

    def _spans(self) -> "DataFrame":
        """The entity of each changed fact, and the time in which its targets may have changed."""
        name = self.inputs.features.event_timestamp
        kinds = [kind for kind in self.inputs.tables if kind != "events" or self._are_facts]
        spans = [self._span(self._changed(kind), arrived(name)) for kind in kinds]
        if self._are_facts:
            # Until now such an event was known, and decided, at other times: at its event time at the earliest.
            spans += [self._span(events, f"unix_micros(`{name}`)") for events in self._own[1:]]
        if "labels" in self.inputs.tables:
            # A label is where the versions of its event are, in turn, or where the last is, known or not yet: until
            # now it was counted at other places of these, from its own known_at on.
            spans.append(self._span(self._moved, f"unix_micros(`{name}`)"))
        return reduce(lambda some, more: some.unionByName(more), spans)

    def _span(self, changed: "DataFrame", start: str) -> "DataFrame":
        """start: SQL."""
        features = self.inputs.features
        end = f"unix_micros(`{features.event_timestamp}`) + {features.history // MICROSECOND}"
        reached = [f"`{key}` as reached_{place}" for place, key in enumerate(features.keys)]
        return changed.selectExpr(*reached, f"{start} as start", f"{end} as `end`")

    def _targets_in(self, spans: "DataFrame", earliest: int) -> "DataFrame":
        """Targets of the entities of spans within them; the earliest starts at so many microseconds."""
        from pyspark.sql.connect.functions import expr

        features, events = self.inputs.features, self.inputs.engine_frame("events")
        keys = [f"reached_{place}" for place in range(len(features.keys))]
        widest = [expr("min(start)").alias("start"), expr("max(`end`)").alias("end")]
        reached = spans.where("start < `end`").groupBy(*keys).agg(*widest)
        moment = f"unix_micros({fact_frames.moment(events, features.event_timestamp)})"
        later = f"{PARTITION} >= date '{(EPOCH + earliest * MICROSECOND).date()}'"
        if DECIDED_AT in events.columns:
            # An event of an earlier day may have been decided later.
            later = f"({later} or {moment} >= {earliest})"
        same = " and ".join(f"`{key}` = {its}" for key, its in zip(features.keys, keys, strict=True))
        near = expr(f"{same} and {moment} >= start and {moment} < `end`")
        return self.inputs.known(events).where(f"version = 1 and {later}").join(reached, near, "left_semi")

    @property
    def _are_facts(self) -> bool:
        """Whether events count for each other, and are no targets alone."""
        return FACTS not in self.inputs.tables

    def _may_have_changed(self) -> bool:
        """Whether, by the versions alone, an input may hold a fact that the last update did not see."""
        before, now = self._before, micros(self.inputs.as_of)
        return self._unseen_stamps is not None or any(
            self.state["seen"][kind]["version"] != version
            or (now > before and (self.state["seen"][kind]["known_until"] or before) > before)
            for kind, version in self.inputs.versions.items()
        )

    @cached_property
    def _unseen_stamps(self) -> Stamps | None:
        """Stamps that the last update may not have seen: by their version, or as they were not known yet."""
        stamps = self.inputs.stamps
        if stamps is None:
            return None
        if stamps.has_since(datetime.fromisoformat(self.state["as_of"])):
            return stamps
        seen = self.state["seen"]["events"].get("stamps")
        return None if seen == stamps.version else stamps.since(seen)

    def _stamped_anew(self, stamps: Stamps) -> "DataFrame":
        """Events whose features are not those of these stamps."""
        from pyspark.sql.connect.functions import expr

        id, arrivals = self.inputs.features.id, self.inputs.arrivals
        events = self.inputs.read("events")
        came: Any = events if arrivals is None else arrivals.on(events)
        decided = self.inputs.known(stamps.on(came)).where(f"version = 1 and {DECIDED_AT} is not null")
        made = self.inputs.lakehouse.read(self.target).selectExpr(
            f"`{id}` as made", "unix_micros(event_timestamp) as at"
        )
        return decided.join(made, expr(f"`{id}` = made and unix_micros({DECIDED_AT}) = at"), "left_anti")

    def _changed(self, kind: str) -> "DataFrame":
        """Facts that the last update did not see: loaded since, or known only since."""
        if (self.state["seen"][kind]["known_until"] or self._before) > self._before:
            since = f"{arrived(self.inputs.features.event_timestamp)} > {self._before}"
            return self.inputs.known(self.inputs.engine_frame(kind)).where(f"{self._is_loaded(kind)} or {since}")
        # All that was there is seen: what is new was loaded since.
        return self.inputs.known(self._loaded(kind))

    def _loaded(self, kind: str) -> "DataFrame":
        """Facts that a load brought or changed since the last update, known or not; only new files are read."""
        versions = self.state["seen"][kind]["version"], self.inputs.versions[kind]
        days = self.inputs.lakehouse.changed_days(self.inputs.tables[kind], *versions)
        loaded = self.inputs.engine_frame(kind).where(self._is_loaded(kind))
        return loaded if days is None else loaded.where(of_days(sorted(days)))

    def _is_loaded(self, kind: str) -> str:
        loaded_in = self.state["seen"][kind]["loaded_in"]
        return f"loaded_in > {-1 if loaded_in is None else loaded_in}"

    @property
    def _before(self) -> int:
        """The moment of the last update, in microseconds since 1970."""
        return micros(datetime.fromisoformat(self.state["as_of"]))
