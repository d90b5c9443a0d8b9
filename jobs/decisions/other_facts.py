"""Facts that are no events (`WindowFeatures.facts`): what is known of one, and how clients and tables tell of it.

Each telling is a record of the log that says of which entities the fact is, so that whoever reads the log needs nothing
else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import Given
from jobs.decisions.feature_row import FactColumns
from jobs.decisions.log_contents import FactCame, FactGone, of_facts
from jobs.decisions.told import Told, UnknownEvent, of_tables
from jobs.errors import Invalid
from jobs.online.log_records import Record


def known(decider: Decider, facts: FactColumns, id: Any) -> Told | None:
    """A fact as it is known now; None: it never was, or turned out not to be."""
    last = last_told(decider, facts, id)
    if last is None:
        return of_tables(decider, of_facts(facts.source), id)
    moment, fact = last
    if isinstance(fact, FactGone):
        return None
    return Told(fact.happened, {key: fact.values[key] for key in facts.keys}, fact.values, moment)


def last_told(decider: Decider, facts: FactColumns, id: Any) -> tuple[int, FactCame | FactGone] | None:
    """What the log says last of a fact, beyond tables, and when the world could first know it."""
    decider.catch_up()
    for record in reversed(decider.told(id, of_facts(facts.source))):
        fact = log_contents.decode(record.content)
        assert isinstance(fact, FactCame | FactGone)
        if not decider.states.base.absorbed.has(record.stamp, fact):
            return log_contents.moment_of(record.stamp, fact), fact
    return None


def put(decider: Decider, came: FactCame) -> int:
    """A fact, or a version that replaces the one before: when it became known, in microseconds since 1970.

    The same again is told once. Raises Invalid if a column cannot be held; nothing was appended.
    """
    with decider.turn:
        before = known(decider, columns_of(decider, came.source), came.id)
        if before is not None and (before.happened, before.values) == (came.happened, came.values):
            return before.moment
        replaces = None if before is None else dict(before.entities)
        told = msgspec.structs.replace(came, replaces=replaces)
        decider.states.checked(decider.states.change(0, told))
        return decider.tell(told).stamp


def put_given(decider: Decider, source: str, given: Given) -> int:
    """The same as a client sent it; without a time it happened when that is known, or now."""
    with decider.turn:
        happened = given.happened
        if happened is None:
            before = known(decider, columns_of(decider, source), given.id)
            happened = decider.log.now() if before is None else before.happened
        return put(decider, FactCame(source, given.id, happened, given.values))


def withdraw(decider: Decider, source: str, id: Any, known_at: int | None = None) -> Record:
    """A fact turned out not to be.

    Args:
        known_at: when tables say that this became known, in microseconds since 1970.

    Raises UnknownEvent if there is none.
    """
    with decider.turn:
        facts = columns_of(decider, source)
        now = known(decider, facts, id)
        if now is None:
            raise UnknownEvent(f"{source} {id!r}: expected one that is known, found none; there is nothing to withdraw")
        return decider.tell(FactGone(id, of_facts(source), dict(now.entities), known_at))


def columns_of(decider: Decider, source: str) -> FactColumns:
    """The facts of a source. Raises Invalid if no window features count them."""
    found = next((each for each in decider.rows.facts if each.source == source), None)
    if found is None:
        names = [each.source for each in decider.rows.facts]
        raise Invalid(f"facts {source[:80]!r}: expected one of {names}, found none; correct the source")
    return found
