"""What each column of a table is for: key, time, entities, label, amount, inputs; and why.

A person may name time, key and label; the rest follows from names and values. Windows: see `jobs.proposals.windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from jobs.display import listed
from jobs.errors import Invalid
from jobs.proposals import label_candidates
from jobs.proposals.column_words import speaks_of
from jobs.proposals.label_candidates import LabelCandidate
from jobs.proposals.table_profile import ColumnProfile, TableProfile
from jobs.proposals.words import AMOUNT, BEFORE_ALL, ENTITY, EVENT, IDENTIFIER, LATER, TIME

USUAL_ENTITIES, MOST_ENTITIES, MOST_AMOUNTS = 2, 3, 2
NEARLY_UNIQUE, NEARLY_FULL = 0.98, 0.9
MOST_CATEGORIES = 1_000


@dataclass(frozen=True, eq=False)
class Roles:
    """Columns of a table by what they are for."""

    time: ColumnProfile
    other_times: tuple[ColumnProfile, ...]
    key: ColumnProfile | None
    """None: no column identifies a row, so that a key is made of its values."""
    entities: tuple[ColumnProfile, ...]
    label: LabelCandidate | None
    other_labels: tuple[LabelCandidate, ...]
    reported: ColumnProfile | None
    """When the label became known."""
    amount: ColumnProfile | None
    numbers: tuple[ColumnProfile, ...]
    """What windows have means of, the amount first."""
    inputs: tuple[ColumnProfile, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    """Column -> why it is no feature."""


@dataclass(frozen=True)
class Named:
    """Columns that a person named."""

    time: str | None = None
    key: str | None = None
    label: str | None = None


def roles(table: TableProfile, named: Named) -> Roles:
    """The roles of a table's columns.

    Raises Invalid if no column says when a row happened, or a named one cannot be what it is named for.
    """
    times = _times(table, named.time)
    time = times[0]
    labels = _labels(table, named.label, taken=[time.name])
    label = labels[0] if labels else None
    taken = [time.name, *([label.column.name] if label else [])]
    reported = _reported(times[1:], time, label)
    key = _key(table, named.key, taken)
    taken += [column.name for column in (key, reported) if column]
    entities = _entities(table, taken)
    left_out = _left_out(table, [*taken, *(e.name for e in entities)], label, time)
    others = [c for c in table.columns if c.name not in {*taken, *left_out}]
    numbers = sorted((c for c in others if c not in entities and _is_amount(c)), key=_amount_score, reverse=True)
    amount = next((c for c in numbers if not c.negative and speaks_of(c.name, AMOUNT)), None)
    used = dict.fromkeys([*([amount] if amount else []), *numbers[: 1 + MOST_AMOUNTS]])
    inputs = [c for c in others if c not in entities]
    return Roles(
        time, tuple(times[1:]), key, tuple(entities), label, tuple(labels[1:]), reported, amount,
        tuple(used)[: 1 + MOST_AMOUNTS], tuple(inputs), left_out,
    )  # fmt: skip


def _times(table: TableProfile, named: str | None) -> list[ColumnProfile]:
    """Columns of times, the event's first."""
    times = [c for c in table.columns if c.kind == "timestamp"]
    if named is not None:
        chosen = table.column(named)
        if chosen.kind != "timestamp":
            raise Invalid(f"--time {named}: expected a column of times, found one of {chosen.kind} ({chosen.seen()}); "
                          f"name one of {_names(times)}")  # fmt: skip
        return [chosen, *(c for c in times if c is not chosen)]
    usable = [c for c in times if c.filled >= NEARLY_FULL and c.distinct > 1]
    if not usable:
        found = listed([c.name for c in table.columns])
        why = f"of which {_names(times)} are missing in many rows or of one moment" if times else "none of them a time"
        raise Invalid(
            f"{table.path}: expected a column that says when each row happened, found {found}, {why}; "
            "add one, or name it (`--time COLUMN`)"
        )
    return sorted(times, key=lambda c: (c in usable, _time_score(c)), reverse=True)


def _time_score(column: ColumnProfile) -> float:
    words = 2 * speaks_of(column.name, EVENT) + speaks_of(column.name, TIME)
    words -= 3 * speaks_of(column.name, LATER) + 4 * speaks_of(column.name, BEFORE_ALL)
    dates = 1 if "dates without a time" in column.guess.note else 0
    return words + column.is_sorted + column.filled - dates + min(column.unique, 0.5)


def _names(columns: Sequence[ColumnProfile]) -> str:
    return listed([c.name for c in columns]) or "none"


def _labels(table: TableProfile, named: str | None, taken: Sequence[str]) -> list[LabelCandidate]:
    found = [c for c in label_candidates.candidates(table) if c.column.name not in taken]
    if named is None:
        return found
    column = table.column(named)
    chosen = label_candidates.as_label(column)
    if chosen is None or column.name in taken:
        raise Invalid(
            f"--label {named}: expected two values, some classes or a number, found {column.kind} ({column.seen()}); "
            "name another column"
        )
    return [chosen, *(c for c in found if c.column.name != column.name)]


def _reported(
    times: Sequence[ColumnProfile], event: ColumnProfile, label: LabelCandidate | None
) -> ColumnProfile | None:
    """The time at which the label became known: later than the event, and there for nearly all that are positive."""
    if label is None:
        return None
    for column in times:
        rows = pl.DataFrame({"at": column.sample, "event": event.sample, "label": label.column.sample})
        rows = rows.with_columns(label_candidates.truth(label).alias("label")) if label.task == "binary" else rows
        known = rows.filter(pl.col("at").is_not_null())
        asked = rows.filter(pl.col("label").fill_null(False)) if label.task == "binary" else rows
        later = (known["at"] > known["event"]).mean() if known.height else 0
        covered = asked["at"].is_not_null().mean() if asked.height else 0
        if speaks_of(column.name, LATER) and float(later or 0) >= 0.99 and float(covered or 0) >= 0.98:  # type: ignore[arg-type]
            return column
    return None


def _key(table: TableProfile, named: str | None, taken: Sequence[str]) -> ColumnProfile | None:
    if named is not None:
        chosen = table.column(named)
        if chosen.kind not in ("integer", "string") or chosen.name in taken:
            raise Invalid(f"--key {named}: expected identifiers, found {chosen.kind} ({chosen.seen()}); name others")
        return chosen
    unique = [c for c in table.columns
              if c.kind in ("integer", "string") and c.name not in taken and c.filled >= NEARLY_UNIQUE
              and (c.unique == 1 or (c.unique >= NEARLY_UNIQUE and speaks_of(c.name, IDENTIFIER)))]  # fmt: skip
    named_so = [c for c in unique if speaks_of(c.name, (*IDENTIFIER, *EVENT)) or c.kind == "string"]
    whole = [c for c in unique if c.kind == "integer" and c.is_sorted]  # the number of the row
    return next(iter(sorted(named_so, key=_key_score, reverse=True)), next(iter(whole), None))


def _key_score(column: ColumnProfile) -> float:
    words = 2 * speaks_of(column.name, IDENTIFIER) + 2 * speaks_of(column.name, EVENT)
    return words - speaks_of(column.name, ENTITY) + column.unique


def _entities(table: TableProfile, taken: Sequence[str]) -> list[ColumnProfile]:
    """Columns of what events are about: identifiers that come back."""
    scored = [(s, c) for c in table.columns if c.name not in taken and (s := _entity_score(c)) > 0]
    named = sum(speaks_of(c.name, IDENTIFIER | ENTITY) for _, c in scored)
    # What only looks like an entity is one where few are named so: it is no input then.
    most = max(USUAL_ENTITIES, min(MOST_ENTITIES, named))
    chosen: list[ColumnProfile] = []
    for _, column in sorted(scored, key=lambda each: -each[0]):
        if not any(_is_same(column, other) for other in chosen):
            chosen.append(column)
    return chosen[:most]


def _entity_score(column: ColumnProfile) -> float:
    """How useful a column is as an entity; 0 or less: not."""
    if column.kind not in ("integer", "string") or column.distinct < 2 or column.repeats < 2 or column.filled < 0.5:
        return 0
    is_id, is_thing = speaks_of(column.name, IDENTIFIER), speaks_of(column.name, ENTITY)
    if speaks_of(column.name, AMOUNT) and not is_id:
        return 0
    many = column.distinct >= 20
    if column.kind == "integer" and not (is_id or is_thing):
        return 0.1 if column.distinct >= 100 and not column.negative and _is_even(column) else 0
    if not (is_id or is_thing or many) or (not many and not is_id):
        return 0
    return 2 * is_thing + 1.5 * is_id + many + min(column.repeats, 20) / 20 - 2 * (1 - column.filled)


def _is_even(column: ColumnProfile) -> bool:
    """Whether numbers are spread as evenly as those of identifiers mostly are."""
    skew = column.sample.drop_nulls().cast(pl.Float64).skew()
    return skew is not None and abs(skew) < 0.3


def _is_same(column: ColumnProfile, other: ColumnProfile) -> bool:
    """Whether two columns say the same of each row, such as a number and a name."""
    if not 0.99 <= column.distinct / other.distinct <= 1.01:
        return False
    pairs = pl.DataFrame({"a": column.sample, "b": other.sample}).drop_nulls()
    return bool(pairs.n_unique() <= 1.01 * max(1, pairs["a"].n_unique()))


def _left_out(
    table: TableProfile, taken: Sequence[str], label: LabelCandidate | None, time: ColumnProfile
) -> dict[str, str]:
    found = {}
    for column in table.columns:
        if column.name not in taken and (why := _why_left_out(column, label, time)):
            found[column.name] = why
    return found


def _why_left_out(column: ColumnProfile, label: LabelCandidate | None, time: ColumnProfile) -> str:
    if column.kind is None:
        return f"not declared: {column.guess.note}"
    if column.distinct < 2:
        return "the same in every row"
    if column.kind == "string" and column.distinct > MOST_CATEGORIES and column.repeats < 2:
        return "nearly a value of its own in each row"
    if column.kind == "integer" and column.unique == 1 and (column.is_sorted or speaks_of(column.name, IDENTIFIER)):
        return "a number of its own in each row"
    return label_candidates.why_afterwards(column, label, time) if label else ""


def _is_amount(column: ColumnProfile) -> bool:
    is_code = speaks_of(column.name, IDENTIFIER)
    return column.kind in ("number", "integer") and column.distinct > 10 and not is_code


def _amount_score(column: ColumnProfile) -> float:
    values = column.sample.drop_nulls().cast(pl.Float64)
    skewed = (values.skew() or 0) > 1 if len(values) > 2 else False
    named = 3 * speaks_of(column.name, AMOUNT)
    return named + (column.kind == "number") + (not column.negative) + bool(skewed)
