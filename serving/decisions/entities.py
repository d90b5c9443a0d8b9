"""What is known of one entity, with meanings: its latest facts, and the features of its last decision."""

from __future__ import annotations

from typing import Any

from jobs.data_dictionary.event_columns import column_meaning
from jobs.decisions.decider import Decider
from jobs.decisions.reasons import meanings
from jobs.ingest.identifier_text import canonical_identifier
from jobs.online.column_type import ColumnType
from serving.decisions.answers import moment
from serving.web.refusal import bad

LATEST = 20
"""Facts that are shown, the latest first."""


def known(decider: Decider, id: str, column: str | None) -> list[dict[str, Any]]:
    """Of each kind of entity (or of one, by its column) that has this id and facts: what there is of it."""
    names = [plan.features.keys[0] for plan in decider.rows.plans if len(plan.features.keys) == 1]
    if column is not None and column not in names:
        raise bad(f"entity: expected one of {names}, found {column[:80]!r}; correct it")
    found = []
    for number, plan in enumerate(decider.rows.plans):
        if len(plan.features.keys) == 1 and column in (None, plan.features.keys[0]):
            key = _typed(id, decider.rows.events[plan.features.keys[0]])
            if key is not None and (told := _of_one(decider, number, key)) is not None:
                found.append(told)
    return found


def _of_one(decider: Decider, number: int, key: Any) -> dict[str, Any] | None:
    plan = decider.rows.plans[number]
    with decider.turn:
        decider.catch_up()
        decider.refresh([(number, (key,))])
        facts = decider.states.peek(number, (key,))
        if facts is None:
            return None
        counts, counted = facts.counts(), plan.features.facts
        events, labels = facts.latest("events", LATEST), facts.latest("labels", LATEST)
        # An event of the same id as a fact of another source is another thing.
        ids = [fact["id"] for fact in events] if counted is None else []
        decided = next((d for d in map(decider.decided, ids) if d is not None), None)
    texts = meanings(decider.rows)
    features = {} if decided is None else dict(zip(decider.rows.computed, decided.features, strict=False))
    return {
        "entity": plan.features.keys[0],
        "meaning": column_meaning(decider.rows.use_case, plan.features.keys[0]).sentence,
        "id": key,
        "of": counted or "events",
        "facts": counts if counted is None else {counted: counts["events"]},
        "latest_events": [_shown(fact) for fact in events],
        "latest_labels": [_shown(fact) for fact in labels],
        "last_decided_at": None if decided is None else moment(decided.decided_at),
        "features": {
            name: {"value": features.get(name), "meaning": texts[name]} for name in plan.features.names if features
        },
    }


def _shown(fact: dict[str, Any]) -> dict[str, Any]:
    times = {name: moment(fact[name]) for name in ("happened", "known_at") if name in fact}
    if fact.get("superseded_at") is not None:
        times["superseded_at"] = moment(fact["superseded_at"])
    return {"id": fact["id"], **times, **fact["values"]}


def _typed(id: str, type: ColumnType) -> Any:
    if type.kind != "int64":
        return canonical_identifier(id)
    try:
        value = int(id)
    except ValueError:
        return None
    return value if -(2**63) <= value < 2**63 else None
