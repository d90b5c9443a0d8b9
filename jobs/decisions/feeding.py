"""What tables have gained is told to servers that run: through the ordered log, as clients tell it, each thing once.

How far tables were read is kept in a small file. A death between the log and that file tells nothing twice, as the log
says already what tables say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from jobs.decisions import base_tables, opened, other_facts, profile_words, told
from jobs.decisions.decider import Decider
from jobs.decisions.feature_row import FactColumns
from jobs.decisions.log_contents import FactCame, FactGone, LabelCame, VersionCame
from jobs.decisions.table_words import Position, TableWords, Word
from jobs.decisions.told import Standing, Told
from jobs.display import listed
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import Record
from jobs.settings import Settings
from jobs.state_files import file_lock, read_memory, replace_json
from jobs.use_case import UseCase

KINDS = ("events", "corrections", "reports", "withdrawals")
PROFILES, FACTS = "profiles", "facts"
_AT_ONCE = 1000
"""Versions of profiles that are appended together."""


@dataclass(frozen=True)
class Fed:
    """What was told to servers."""

    told: Mapping[str, int] = field(default_factory=dict)
    """How much of each kind."""
    refused: int = 0
    """Rows that a server cannot hold; they are known after its next start."""
    since: Mapping[str, int] = field(default_factory=dict)
    """Versions of the tables that servers knew before."""
    until: Mapping[str, int] = field(default_factory=dict)
    notes: str = ""
    """Why nothing was told."""

    @property
    def versions(self) -> dict[str, str]:
        """Of each table from which version to which it was read."""
        return {table: f"{self.since[table]} to {version}" for table, version in self.until.items()}

    @property
    def sentence(self) -> str:
        """What servers know now that they did not."""
        if not any(self.told.values()):
            return "servers that run know everything that the tables say"
        return f"servers that run were told {listed([f'{n:,} {kind}' for kind, n in self.told.items() if n])}"


def feed(lakehouse: Lakehouse, use_case: UseCase, clock: opened.Clock = opened.wall_clock) -> Fed:
    """Tell servers that run what tables have gained since their base, or since this was done last.

    Raises:
        StoreDown: the online store does not answer; the next time tells it all.
        OSError: the log does not take it; likewise.
    """
    settings = lakehouse.settings
    if not opened.was_served(settings, use_case):
        return Fed(notes="no server has decided here yet (`evergreen serve`)")
    locked = settings.home / "locks" / f"decisions.{use_case.name}.told.lock"
    with file_lock(locked), opened.beside_servers(settings, use_case) as there_are_servers:
        if not there_are_servers:
            return Fed(notes="no server is running: the next one takes the tables as they are")
        try:
            decider = opened.open_decider(settings, use_case, clock)
        except Invalid as error:
            return Fed(notes=str(error))
        try:
            return _feed(lakehouse, decider, position_file(settings, use_case))
        finally:
            decider.close()


def position_file(settings: Settings, use_case: UseCase) -> Path:
    """Where it is kept how far tables were read."""
    return opened.log_file(settings, use_case).with_name("told.json")


def _feed(lakehouse: Lakehouse, decider: Decider, memory: Path) -> Fed:
    base, _ = opened.last_base(decider.log)
    assert base is not None
    before = read_memory(memory, lambda kept: Position(**kept)) or Position.at(lakehouse, base.tables, base.moment)
    versions = base_tables.current_versions(lakehouse, decider.rows.use_case)
    now = Position.at(lakehouse, versions, decider.log.now())
    words, counts = TableWords(lakehouse, decider.rows, before, now), Counter[str]()
    for of in ("events", "labels"):
        for word in words.of(of):
            counts[_told(decider, of, word) or ""] += 1
    for facts in decider.rows.facts:
        for word in words.of_facts(facts):
            counts[_told_fact(decider, facts, word) or ""] += 1
    kinds = [*KINDS, *([FACTS] if decider.rows.facts else [])]
    profiles = {PROFILES: _profiles(lakehouse, decider, base.tables, before, now)} if decider.rows.profiles else {}
    memory.parent.mkdir(parents=True, exist_ok=True)
    replace_json(memory, asdict(now))
    since = {**base.tables, **before.versions}
    return Fed({kind: counts[kind] for kind in kinds} | profiles, counts["refused"], since, versions)


def _profiles(lakehouse: Lakehouse, decider: Decider, base: Mapping[str, int], before: Position, now: Position) -> int:
    """Tell versions of profiles that tables have gained; how many the log did not have."""
    told = 0
    for profile in decider.rows.profiles:
        pinned = base[profile.table]
        last = before.versions.get(profile.table, pinned)
        found = profile_words.gained(lakehouse, profile, (last, pinned), now.versions[profile.table])
        while some := list(islice(found, _AT_ONCE)):
            told += decider.tell_profiles(some)
    return told


def _told(decider: Decider, of: str, word: Word) -> str | None:
    """Tell the log a word of tables; what kind that is, `refused`, or None: the log says it, or something newer."""
    with decider.turn:
        standing = Standing.of(decider, word.id)
        last = standing.last(of)
        # At the same moment the log may have the report of before at the place that the event moved to.
        if last is not None and last[0] > word.moment:
            return None
        is_gone = last is not None and isinstance(last[1], FactGone)
        now = None if is_gone else standing.event() if of == "events" else standing.label()
        if word.values is None:
            return None if now is None else _withdrawn(decider, of, word, now)
        if now is not None and _same(now, word):
            return None
        try:
            _tell(standing, of, word, now)
        except Invalid:
            return "refused"
        return "reports" if of == "labels" else "events" if now is None else "corrections"


def _told_fact(decider: Decider, facts: FactColumns, word: Word) -> str | None:
    """The same of a fact that is no event."""
    with decider.turn:
        last = other_facts.last_told(decider, facts, word.id)
        if last is not None and last[0] > word.moment:
            return None
        now = other_facts.known(decider, facts, word.id)
        if word.values is None:
            if now is None:
                return None
            other_facts.withdraw(decider, facts.source, word.id, word.moment)
            return "withdrawals"
        if now is not None and _same(now, word):
            return None
        came = FactCame(facts.source, word.id, word.happened, dict(word.values), known=word.moment)
        try:
            other_facts.put(decider, came)
        except Invalid:
            return "refused"
        return FACTS


def _same(now: Told, word: Word) -> bool:
    values = {**now.values, **now.entities}
    assert word.values is not None
    return now.happened == word.happened and all(values.get(name) == value for name, value in word.values.items())


def _withdrawn(decider: Decider, of: str, word: Word, now: Told) -> str:
    decider.tell(FactGone(word.id, of, dict(now.entities), word.moment))
    return "withdrawals"


def _tell(standing: Standing, of: str, word: Word, now: Told | None) -> Record:
    assert word.values is not None
    if of == "events":
        replaced = None if now is None else dict(now.entities)
        version = VersionCame(word.id, dict(word.values), word.happened, replaced, word.moment)
        return told.tell_version(standing, version)
    entities = standing.decider.states.entities_of(word.values)
    values = {name: word.values[name] for name in standing.decider.rows.labels}
    return told.tell_label(standing, LabelCame(word.id, word.happened, entities, values, word.moment))
