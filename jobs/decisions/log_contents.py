"""What the ordered log of decisions holds: one kind of content for everything that can happen, as JSON.

    event/ID        an event that was decided here, as the client sent it
    decision/ID     what was decided about it
    told/ID/N       what else was told about an event, one after another: an event that is not decided here or the
                    correction of one, a report what became of it, or that the one or the other was not so
    shadow/ROLLOUT/ARM/ID    what a model that did not answer says of an event; nothing else follows from it
    explored/DAY/N  an amount that was let through to learn from, of the quota of a day
    handed/NAME     cases that a reviewer asked for (`jobs.decisions.review_cases` says which were granted)
    unsure/ID       a reviewer looked at an event and could not say; any other verdict is a report, with the reviewer
    fact/SOURCE/ID/N    what was told about a fact that is no event, one after another: it, its correction, or that
                        it was not so
    profile/...     a version of an entity's profile that tables have gained
    base/N          which versions of which tables everything stands on, from here on

Stamps and order are `jobs.online`'s business.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias, TypeVar

import msgspec

from jobs.decisions.outcome import Outcome
from jobs.errors import Invalid
from jobs.rollout_strategy import CHAMPION
from jobs.windows import WindowFeatures


class EventCame(msgspec.Struct, tag="event", tag_field="kind", omit_defaults=True):
    """An event that is decided at the record's stamp."""

    id: Any
    values: dict[str, Any]
    """Columns of the request, without id and time."""
    happened: int | None = None
    """Event time in microseconds since 1970; None: the stamp."""

    def time(self, stamp: int) -> int:
        """The event time of a record with this stamp."""
        return stamp if self.happened is None else self.happened


class VersionCame(msgspec.Struct, tag="version", tag_field="kind", omit_defaults=True):
    """A version of an event that replaces the one before, if there is one; nothing is decided."""

    id: Any
    values: dict[str, Any]
    happened: int
    replaces: dict[str, Any] | None = None
    """Columns of the entities that the version before was of; None: there was none."""
    known: int | None = None
    """When tables say that it became known; then the values are columns of the table. None: a client told it."""


class LabelCame(msgspec.Struct, tag="label", tag_field="kind", omit_defaults=True):
    """What became of an event; it is known from the record's stamp on."""

    id: Any
    happened: int
    """Time of the event."""
    entities: dict[str, Any]
    values: dict[str, Any]
    """Columns of the label."""
    reported: int | None = None
    """When the report was made, if that was told: what the lakehouse goes by."""
    reviewer: str | None = None
    """Whose verdict it is; None: it came another way."""


class FactGone(msgspec.Struct, tag="gone", tag_field="kind", omit_defaults=True):
    """An event or its label turned out not to be."""

    id: Any
    of: str
    """`events`, `labels`, or `of_facts` of a source."""
    entities: dict[str, Any]
    known: int | None = None
    """When tables say that it became known; None: a client told it."""


class FactCame(msgspec.Struct, tag="fact", tag_field="kind", omit_defaults=True):
    """A version of a fact that is no event (`WindowFeatures.facts`); it counts from the record's stamp on."""

    source: str
    id: Any
    happened: int
    values: dict[str, Any]
    """Columns of its entities, and those that windows read."""
    replaces: dict[str, Any] | None = None
    """Columns of the entities that the version before was of; None: there was none."""
    known: int | None = None
    """When tables say that it became known; None: a client told it."""


class ProfileCame(msgspec.Struct, tag="profile", tag_field="kind", omit_defaults=True):
    """A version of a profile that tables have gained; it is known from the record's stamp on, or later."""

    source: str
    key: Any
    """Of the entity."""
    happened: int
    known: int
    """When tables say that it becomes, or became, known."""
    values: dict[str, Any]
    """Columns that are features."""


class Base(msgspec.Struct, tag="base", tag_field="kind", omit_defaults=True):
    """What is known from tables; every worker starts from the same."""

    tables: dict[str, int]
    """Delta version of each table."""
    moment: int
    """Microseconds since 1970: what became known later is not there yet."""
    declarations: str
    """Fingerprint of what is computed."""
    features: list[str]
    """Names of the values that decisions hold, in their order."""


class Decided(msgspec.Struct, tag="decision", tag_field="kind", omit_defaults=True):
    """What was decided about an event, and from what."""

    id: Any
    decided_at: int
    """The stamp of the event."""
    outcome: Outcome
    features: list[Any]
    """Values of `Base.features`, doubles to the last bit."""
    model_version: str | None = None
    bundle: str | None = None
    """Sha256 of the model's bundle."""
    latency: int = 0
    """Microseconds from the request to here."""
    fallback: str | None = None
    """What answered in place of the usual way; None: the usual way."""
    reason: str | None = None
    """Why there was a fallback."""
    staleness: int = 0
    """Microseconds since the store of facts was last heard of, or age of the tables; 0: what was known was complete."""
    arm: str = CHAMPION
    """Who was to answer (`jobs.rollouts.assignment`), whoever did."""
    propensity: float = 1.0
    """The chance by which it was that arm."""
    scoring: int = 0
    """Microseconds that the model took, 0: none answered."""
    was_known: bool = False
    """Whether tables knew the event before it came: then its stamp is not the moment at which it was first seen."""


class Shadow(msgspec.Struct, tag="shadow", tag_field="kind", omit_defaults=True):
    """What a model made of an event that another one answered."""

    id: Any
    decided_at: int
    """The stamp of the event."""
    rollout: int
    arm: str
    """Of the model that scored, `champion` or another."""
    outcome: Outcome
    model_version: str
    scoring: int = 0
    """Microseconds that it took; 0: it scored several events at once, which says nothing of one."""
    failure: str | None = None
    """Why there is no score."""


class Explored(msgspec.Struct, tag="explored", tag_field="kind", omit_defaults=True):
    """A part of the day's quota of exploration that an event took."""

    id: Any
    amount: float


class Handed(msgspec.Struct, tag="handed", tag_field="kind", omit_defaults=True):
    """Cases that a reviewer asked for at the record's stamp."""

    reviewer: str
    ids: list[Any]
    """Of events, those that matter most first."""


class Unsure(msgspec.Struct, tag="unsure", tag_field="kind", omit_defaults=True):
    """A reviewer looked at an event and could not say what it is: it gets no label."""

    id: Any
    reviewer: str


Reviewed: TypeAlias = Handed | Unsure
Content: TypeAlias = (
    EventCame
    | VersionCame
    | LabelCame
    | FactGone
    | FactCame
    | ProfileCame
    | Base
    | Decided
    | Shadow
    | Explored
    | Reviewed
)
Telling: TypeAlias = VersionCame | LabelCame | FactGone | FactCame
Fact: TypeAlias = EventCame | Telling
"""What changes what is known of entities."""
EVENT, DECISION, TOLD, BASE, PROFILE, FACT = "event", "decision", "told", "base", "profile", "fact"
SHADOW, EXPLORED, HANDED, UNSURE = "shadow", "explored", "handed", "unsure"
NO_FACTS = (DECISION, SHADOW, EXPLORED, HANDED, UNSURE)
"""Kinds of records that change nothing of what is known of entities."""
Kind = TypeVar("Kind")
_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Content)


def of_facts(source: str) -> str:
    """The kind of facts that the rows of a source are which are no events."""
    return f"facts/{source}"


def counted(windows: WindowFeatures) -> str:
    """The kind of facts that window features count beside labels: `events`, or `of_facts` of a source."""
    return "events" if windows.facts is None else of_facts(windows.facts)


def subject(fact: Fact) -> str:
    """What a fact is about: `events`, `labels`, or `of_facts` of a source."""
    if isinstance(fact, FactGone):
        return fact.of
    if isinstance(fact, FactCame):
        return of_facts(fact.source)
    return "labels" if isinstance(fact, LabelCame) else "events"


def told_names(of: str, id: Any) -> tuple[str, Any]:
    """Kind and id of the records that tell of a fact of this kind."""
    return (TOLD, id) if of in ("events", "labels") else (FACT, f"{of.partition('/')[2]}/{id}")


def moment_of(stamp: int, fact: Telling) -> int:
    """When the world could first know a fact of a record with this stamp, if that was told, else the stamp."""
    known = fact.reported if isinstance(fact, LabelCame) else fact.known
    return stamp if known is None else min(stamp, known)


def encode(content: Content) -> bytes:
    """The content as the log holds it: the same content gives the same bytes."""
    return _ENCODER.encode(content)


def decode(content: bytes) -> Content:
    """The content of a record. Raises Invalid if it is none of these kinds."""
    try:
        found: Content = _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise Invalid(f"record of the decision log: expected a known kind of content, found another: {error}") from None
    return found


def decode_as(content: bytes, kind: type[Kind]) -> Kind:
    """The content of a record that can only be of one kind, as its id says."""
    found = decode(content)
    assert isinstance(found, kind)
    return found


def shadow_name(shadow: Shadow) -> str:
    """The id of the record of a shadow."""
    return f"{SHADOW}/{shadow.rollout}/{shadow.arm}/{shadow.id}"


def profile_name(came: ProfileCame) -> str:
    """The id of the record of a version of a profile: the same version is told once."""
    digest = hashlib.blake2b(encode(came), digest_size=8).hexdigest()
    return f"{PROFILE}/{came.source}/{came.key}/{digest}"


def name(kind: str, id: Any, number: int | None = None) -> str:
    """The id of a record."""
    return f"{kind}/{id}" if number is None else f"{kind}/{id}/{number}"
