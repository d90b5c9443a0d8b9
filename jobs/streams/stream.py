"""The stream of one use case: messages of all its topics to raw tables, features and the online store.

A step takes what came and computes features; a commit makes all of it durable, while further steps are made:
quarantine, raw rows with the places in topics, features. A death at any time loses nothing, since topics are read again
from the last commit on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from jobs.ingest.contracts import REASONS
from jobs.ingest.parsing import UTC as UTC_TYPE
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import OFFSET, PARTITION
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.dead_letters import DeadLetter
from jobs.messages.message import Message
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.streams import poison
from jobs.streams.clock import Clock
from jobs.streams.committing import Committer, Write
from jobs.streams.ends import FeaturesEnded, Letters, Publish, Reader, Starter
from jobs.streams.feature_tables import FeatureTables
from jobs.streams.features import StreamFeatures
from jobs.streams.intake import KIND, Intake, Taken
from jobs.streams.known_rows import NEW
from jobs.streams.landing import Landing
from jobs.streams.poison import Part
from jobs.use_case import Source, UseCase

LOG = logging.getLogger("evergreen.stream")
MOST = 10_000
"""Messages of one step."""
FEW = 200
"""After a step of fewer messages what it waits for others may be used."""
EARLY = "_early"
"""Column of keys whose stamp is before that of what they refer to."""


@dataclass
class Counts:
    """What became of messages since the stream started."""

    messages: int = 0
    new: int = 0
    repeated: int = 0
    bad: int = 0
    waiting: int = 0
    """Rows that had to wait for what they refer to."""
    released: int = 0
    """Those of them that were let in."""
    features: int = 0
    not_held: int = 0
    """Rows that features are computed without, as the evaluator cannot hold them."""


@dataclass
class Stream:
    """Not safe for several threads. Commits that are under way hold nothing that a step changes."""

    lakehouse: Lakehouse
    topics: Topics
    reader: Reader
    clock: Clock
    intakes: dict[str, Intake]
    """By source."""
    landings: dict[str, Landing]
    waiting: dict[str, pl.DataFrame]
    starter: Starter
    """Says where features are computed."""
    features: StreamFeatures | None = None
    tables: FeatureTables | None = None
    publish: Publish | None = None
    """Takes what was computed to the online store."""
    dead_letters: Letters | None = None
    """Where messages go that break the contract, besides the quarantine."""
    counts: Counts = field(default_factory=Counts)
    note: str = ""
    """Why no features are computed, if that is so."""
    start: Callable[[int], None] | None = None
    """Starts features that wait for the first stamp ever, before which all that tables say is known."""
    stands_on: dict[str, int] = field(default_factory=dict)
    """Delta versions of the marts that features started from."""
    _read: list[tuple[Message, int]] = field(default_factory=list)
    """Messages that were read and are not taken yet, with their stamps."""
    _before: int = 0
    """How many messages the last step took."""
    _committer: Committer = field(default_factory=Committer)

    @property
    def use_case(self) -> UseCase:
        return self.topics.use_case

    def step(self, seconds: float) -> int:
        """Take what comes within that time; returns how many messages.

        Raises what the reader and the decoders raise; messages that were read are taken by a later step then.
        """
        if not self._read:
            messages = self.reader.poll(MOST, seconds - self._made_ready(seconds / 2))
            self._read = list(zip(messages, self.clock.stamps(messages).tolist(), strict=True)) if messages else []
        count = self._before = len(self._read)
        if count and self.start is not None:
            start, self.start = self.start, None
            start(self._read[0][1] - 1)
        if count:
            self._take(self._parts())
        elif self.publish is not None and self.publish.error:
            self.publish([])
        self._read = []
        return count

    def _made_ready(self, seconds: float) -> float:
        """Seconds, at most so many, that went into entities which events may come of; none while many events come."""
        began = time.monotonic()
        if self.features is not None and self._before < FEW:
            self.features.make_ready(seconds)
        return min(seconds, time.monotonic() - began)

    def commit(self) -> bool:
        """Make durable what was taken since the last commit; False: not yet, as what was read is not taken."""
        is_begun = self.begin_commit()
        self._committer.settle()
        return is_begun

    def begin_commit(self) -> bool:
        """The same beside the steps that follow, once the commit before is durable. Raises what stopped that one."""
        self._committer.settle()
        if self._read:
            return False
        positions = {source.name: self.reader.position(topic) for topic, source in self.topics.sources.items()}
        if self.dead_letters is not None:
            self.dead_letters.send(list(positions.values()))
        self._committer.begin(self._cut(positions))
        return True

    def _cut(self, positions: Mapping[str, Position]) -> list[Write]:
        """What was taken since the last commit, by what makes it durable: raw rows first, of which features are."""
        stamp = self.clock.last
        writes: list[Write] = [
            self.landings[name].cut(self.intakes[name].types, position, stamp) for name, position in positions.items()
        ]
        return writes if self.tables is None else [*writes, *self._cut_features(self.tables, stamp)]

    def _cut_features(self, tables: FeatureTables, stamp: int) -> list[Write]:
        try:
            self.counts.features += tables.rows
            self.counts.not_held = 0 if self.features is None else self.features.not_held
            if self.publish is not None:
                self.publish([])
            return [tables.cut(stamp)]
        except FeaturesEnded as error:
            LOG.warning("%s: %s", self.use_case.name, error)
            self.end_features(str(error))
            return []

    def end_features(self, why: str) -> None:
        """Compute no features until they start again."""
        if self.features is not None:
            self.features.close()
        self.features, self.tables, self.note = None, None, why

    @property
    def is_committing(self) -> bool:
        """Whether a commit is under way."""
        return self._committer.is_busy

    def compute(self, features: StreamFeatures, tables: FeatureTables, stands_on: Mapping[str, int]) -> None:
        """Compute features by this state from here on, in place of the one before."""
        if self.features is not None:
            self.features.close()
        self.features, self.tables, self.note = features, tables, ""
        self.stands_on = dict(stands_on)

    @property
    def is_behind_marts(self) -> bool:
        """Whether there are newer marts than those that features stand on, and they are worth a start."""
        if self.features is None or not self.features.holds_much:
            return False
        return self.lakehouse.versions(list(self.stands_on)) != self.stands_on

    @property
    def publish_error(self) -> str:
        """Why rows wait for the online store; while no features are computed, the note says more."""
        if self.note or self.publish is None or not self.publish.error:
            return ""
        return f"online store: {self.publish.error}"

    @property
    def rows(self) -> int:
        """Rows that wait for a commit."""
        return sum(landing.rows for landing in self.landings.values())

    def close(self) -> None:
        """Let go of everything; a commit under way is waited for, and what is in none is read again another time."""
        self._committer.close()
        self.reader.close()
        if self.dead_letters is not None:
            self.dead_letters.close()
        if self.features is not None:
            self.features.close()

    def _parts(self) -> list[tuple[Intake, Part]]:
        """What was read, by source, decoded: nothing is taken until all of it is."""
        by_topic: dict[str, list[tuple[Message, int]]] = {}
        for message, stamp in self._read:
            by_topic.setdefault(message.topic, []).append((message, stamp))
        parts = []
        for source in self.use_case.sources:
            if mine := by_topic.get(self.topics.topic(source)):
                messages, stamps = [message for message, _ in mine], np.array([stamp for _, stamp in mine], np.int64)
                intake = self.intakes[source.name]
                parts.append((intake, Part(messages, intake.decode(messages), stamps)))
        return parts

    def _take(self, parts: Sequence[tuple[Intake, Part]]) -> None:
        now = datetime.now(UTC)
        new: list[tuple[Source, pl.DataFrame]] = []
        first_seen: dict[str, dict[int, int]] = {}
        referred = {target.split(".")[0] for intake, _ in parts for target in intake.source.references.values()}
        for intake, part in parts:
            source = intake.source
            self.counts.messages += len(part.messages)
            for taken in poison.taken(intake.take, part, now):
                rows = taken.new if taken.new.is_empty() else self._behind(source, taken.new, first_seen)
                self._keep(source, part.messages, replace(taken, new=rows))
                if rows.is_empty():
                    continue
                new.append((source, rows))
                if source.name in referred:
                    first_seen.setdefault(source.name, {}).update(_first_seen(source, rows))
        new += self._released()
        self._compute(new)

    def _behind(self, source: Source, rows: pl.DataFrame, first_seen: Mapping[str, Mapping[int, int]]) -> pl.DataFrame:
        """Rows with a stamp behind that of what they refer to, where both came in this step, in whichever order."""
        if not source.references:
            return rows
        early = pl.Series([False]).new_from_index(0, rows.height)
        own = rows[KNOWN_AT].cast(pl.Int64).to_list()
        for column, target in source.references.items():
            seen = first_seen.get(target.split(".")[0], {})
            about = [seen.get(value, 0) for value in rows[column].hash().to_list()]
            early |= pl.Series([stamp < other for stamp, other in zip(own, about, strict=True)], dtype=pl.Boolean)
        if early.any():
            # What comes after a row of its key stays behind it.
            keys = rows.select(source.key).with_columns(early.cast(pl.Int8).alias(EARLY))
            early = keys.select(pl.col(EARLY).cum_max().over(list(source.key)) > 0).to_series()
        return pl.concat([rows.filter(~early), self._stamped_anew(rows.filter(early))])

    def _stamped_anew(self, rows: pl.DataFrame) -> pl.DataFrame:
        stamps = self.clock.last + 1 + np.arange(rows.height)
        self.clock.last += rows.height
        return rows.with_columns(pl.Series(KNOWN_AT, stamps, pl.Int64).cast(UTC_TYPE))

    def _keep(self, source: Source, messages: Sequence[Message], taken: Taken) -> None:
        self.landings[source.name].taken.append(taken)
        counts = self.counts
        counts.new += taken.new.height
        counts.repeated += taken.repeated
        counts.bad += taken.bad.height
        if self.dead_letters is not None and not taken.bad.is_empty():
            for letter in _letters(messages, taken.bad):
                self.dead_letters.add(letter)
        if not taken.waiting.is_empty():
            counts.waiting += taken.waiting.height
            before = self.waiting.get(source.name)
            self.waiting[source.name] = taken.waiting if before is None else pl.concat([before, taken.waiting])

    def _released(self) -> list[tuple[Source, pl.DataFrame]]:
        """Rows that waited for what has come: they are known from now on."""
        found = []
        for name, waiting in self.waiting.items():
            if waiting.is_empty():
                continue
            intake = self.intakes[name]
            released, self.waiting[name] = intake.release(waiting)
            rows = self._stamped_anew(released)
            self.counts.repeated += waiting.height - self.waiting[name].height - rows.height
            if not rows.is_empty():
                self.counts.released += rows.height
                nothing = rows.clear()
                self.landings[name].taken.append(Taken(rows, nothing, nothing))
                found.append((intake.source, rows))
        return found

    def _compute(self, new: Sequence[tuple[Source, pl.DataFrame]]) -> None:
        if self.features is None or self.tables is None:
            return
        facts = self.features.facts
        came = [each for source, rows in new if source in facts.sources for each in facts.of(source, rows)]
        came.sort(key=lambda each: each[0])
        computed = list(self.features.take(came))
        for each in computed:
            self.tables.add(each)
        if self.publish is not None:
            self.publish(computed)


def _letters(messages: Sequence[Message], bad: pl.DataFrame) -> Iterator[DeadLetter]:
    at = {(message.partition, message.offset): message for message in messages}
    for partition, offset, reasons in bad.select(PARTITION, OFFSET, REASONS).iter_rows():
        yield DeadLetter(at[partition, offset], "; ".join(reasons))


def _first_seen(source: Source, rows: pl.DataFrame) -> dict[int, int]:
    """Stamps of keys of one column that came first, by their hash."""
    if len(source.key) > 1:
        return {}
    first = rows.filter(pl.col(KIND) == NEW)
    stamps = first[KNOWN_AT].cast(pl.Int64).to_list()
    return dict(zip(first[source.key[0]].hash().to_list(), stamps, strict=True))
