"""Window features worth having, by how often events of each entity come and how late labels are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from jobs.objective import TaskName
from jobs.window_lengths import BEFORE
from jobs.windows import Aggregate, Ratio, WindowFeatures

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LENGTHS = (HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY)
MOMENT = timedelta(seconds=1)
"""The event itself, and nothing before."""
FAR_ABOVE = 2.0


@dataclass(frozen=True)
class Entity:
    """Who or what events are about: a column of tables, and the usual time between its events."""

    column: str
    stem: str
    """How names of its features begin."""
    gap: timedelta


@dataclass(frozen=True)
class Facts:
    """What windows are made of; names of columns in tables."""

    id: str
    time: str
    span: timedelta
    """From the first event to the last."""
    only_dates: bool
    entities: tuple[Entity, ...]
    numbers: tuple[str, ...]
    amount: str | None
    label: str | None = None
    task: TaskName = "binary"
    classes: tuple[str, ...] = ()
    delay: timedelta = DAY
    """After which a label is known."""
    some_sooner: bool = False
    """Labels say when they were known: some are before that."""


def windows(facts: Facts) -> tuple[WindowFeatures, ...]:
    """Windows of each entity, and of the first two together."""
    made = [_of_entity(facts, entity) for entity in facts.entities]
    if len(facts.entities) > 1:
        made.append(_of_pair(facts, facts.entities[0], facts.entities[1]))
    return tuple(made)


def lengths(facts: Facts, gap: timedelta) -> tuple[timedelta, ...]:
    """Lengths, ascending, that mostly hold more than the event itself and are there several times in the file."""
    shortest = max(DAY if facts.only_dates else HOUR, gap / 4)
    longest = max(facts.span / 4, min((facts.span + DAY) / 2, 30 * DAY))
    fitting = [length for length in LENGTHS if shortest <= length <= longest]
    if not fitting:  # a short file, or entities that seldom come back
        short = [length for length in LENGTHS if length <= longest]
        fitting = short[-1:] or [DAY if facts.only_dates else max(HOUR, facts.span // 3 // HOUR * HOUR)]
    return tuple(fitting)


def _of_entity(facts: Facts, entity: Entity) -> WindowFeatures:
    long = lengths(facts, entity.gap)
    counted = tuple(sorted({*long, *(() if facts.only_dates or facts.span < 3 * DAY else (HOUR, DAY))}))
    stem, usual = entity.stem, long[-3:]
    others = [each.column for each in facts.entities if each is not entity]
    aggregates = [
        Aggregate("count", windows=counted, name=f"{stem}_count"),
        *_of_numbers(facts, stem, usual),
        *(Aggregate("distinct", other, windows=usual, name=f"{stem}_{other}_distinct") for other in others),
        Aggregate("last_age", windows=(long[-1],), delay=BEFORE, name=f"{stem}_previous_age"),
        *_of_labels(facts, stem, usual),
    ]
    ratios, of_ratios = _ratio(facts, stem, long)
    return WindowFeatures(
        name=f"{stem}_windows", entity=entity.column, id=facts.id, event_timestamp=facts.time,
        description=f"What happened lately with the {stem}, this event included, and what is known of it.",
        aggregates=(*aggregates, *of_ratios), ratios=ratios,
    )  # fmt: skip


def _of_numbers(facts: Facts, stem: str, usual: tuple[timedelta, ...]) -> list[Aggregate]:
    found = []
    for number in facts.numbers:
        found.append(Aggregate("mean", number, windows=usual, name=f"{stem}_{number}_mean"))
        if number == (facts.amount or facts.numbers[0]):
            found.append(Aggregate("std", number, windows=usual[-2:], name=f"{stem}_{number}_std"))
            found.append(Aggregate("max", number, windows=usual, name=f"{stem}_{number}_max"))
            found.append(Aggregate("sum", number, windows=usual[:1], name=f"{stem}_{number}_sum"))
    return found


def _ratio(facts: Facts, stem: str, long: Sequence[timedelta]) -> tuple[tuple[Ratio, ...], list[Aggregate]]:
    """How far amounts lie above what was usual before."""
    if facts.amount is None:
        return (), []
    name, delay = f"{facts.amount}_to_level", DAY if facts.only_dates else MOMENT
    level = Ratio(name, facts.amount, Aggregate("mean", facts.amount, (long[-1],), delay=delay))
    recent = tuple(length for length in long[-3:] if length > delay)
    found = [Aggregate("max", name, (DAY if facts.only_dates else MOMENT,), name=f"{stem}_{name}")]
    if recent:
        found.append(Aggregate("max", name, recent, delay=delay, name=f"{stem}_{name}_max"))
        found.append(Aggregate("count", windows=recent[-2:], where=(name, ">", FAR_ABOVE), name=f"{stem}_far_above"))
    return (level,), found


def _of_labels(facts: Facts, stem: str, usual: tuple[timedelta, ...]) -> list[Aggregate]:
    if facts.label is None:
        return []
    label, delay, longest = facts.label, facts.delay, max(usual[-1], min(2 * usual[-1], facts.span / 2 // HOUR * HOUR))
    if facts.task == "regression":
        return [Aggregate("mean", label, windows=usual, of="labels", delay=delay, name=f"{stem}_{label}_mean")]
    if facts.task == "multiclass":
        return [
            Aggregate("count", of="labels", where=(label, value), windows=usual, delay=delay, name=f"{stem}_class_{n}")
            for n, value in enumerate(facts.classes, 1)
        ]
    reach = longest if longest > delay else delay + longest
    known, counted = (label, True), tuple(sorted({*(usual[-2:] if facts.some_sooner else ()), reach}))
    return [
        Aggregate("rate", label, of="labels", windows=usual, delay=delay, empty=0, name=f"{stem}_{label}_rate"),
        Aggregate("count", of="labels", where=known, windows=counted, name=f"{stem}_{label}_known"),
        Aggregate("last_age", of="labels", where=known, windows=(reach,), name=f"{stem}_{label}_last_age"),
        Aggregate("streak", label, (reach,), of="labels", name=f"{stem}_{label}_streak"),
    ]


def _of_pair(facts: Facts, one: Entity, other: Entity) -> WindowFeatures:
    longest = (lengths(facts, one.gap)[-1],)
    stem = f"{one.stem}_{other.stem}"
    return WindowFeatures(
        name=f"{stem}_windows", entity=(one.column, other.column), id=facts.id, event_timestamp=facts.time,
        description=f"Whether {one.stem} and {other.stem} had to do with each other before.",
        aggregates=(
            Aggregate("count", windows=longest, delay=BEFORE, name=f"{stem}_count"),
            Aggregate("last_age", windows=longest, delay=BEFORE, name=f"{stem}_previous_age"),
        ),
    )  # fmt: skip
