"""The prediction log: every score that was given, with what it was made of. Schema only; who scores fills it.

`{use_case}_serving.prediction_log`, one row per scored event, daily partitions by `event_date`. Nightly scoring
replaces the rows of its own `origin` and never touches what was decided online.

Features are columns of their own, numbers as float32, categories and vectors as texts, as the graph got them: drift and
skew read some of them over many days, which then costs those columns alone, and people can name them in SQL. A struct
would be read whole by delta-rs, and an array of all would have no names. A model with other features adds columns; null
means missing, or not used by that model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import Invalid
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.registry.bundle import CATEGORY, NUMBER
from jobs.scoring.decided_columns import LOWER, PREDICTION, PROBABILITIES, UPPER, further
from jobs.use_case import UseCase, age_name

Origin = Literal["again", "nightly", "online"]
NIGHTLY: Origin = "nightly"
ONLINE: Origin = "online"
AGAIN: Origin = "again"
"""Decided online when tables knew the event already: kept, but neither its stamp nor its row stands for the event."""
OF_SERVICE = [ONLINE, AGAIN]
"""Origins of decisions of the service."""
TIME = pa.timestamp("us", "UTC")

DECIDED: Mapping[str, tuple[pa.DataType, str]] = {
    "scored_at": (TIME, "The moment (as_of) that the world was known at when this was scored."),
    "score": (pa.float32(), "The output of the model's graph: a probability."),
    "decision": (pa.bool_(), "Whether the score reached the model's threshold."),
    "model_version": (pa.int64(), "Version in the registry."),
    "bundle_sha256": (pa.string(), "Identity of the bundle: graph, preprocessing and threshold."),
    "feature_versions": (
        pa.string(),
        "JSON: Delta version of every table the features came from, a hash of their declarations, and as_of.",
    ),
    "arm": (pa.string(), "Whose turn it was: 'champion', or a challenger's name."),
    "propensity": (pa.float64(), "Chance that this arm was chosen, for off-policy evaluation; 1 if none was drawn."),
    "origin": (pa.string(), "'nightly', 'online', or 'again': online when tables knew the event already."),
    "verdict": (pa.string(), "Online: approve, review or block, by the thresholds of the model or a fallback."),
    "latency": (pa.int64(), "Online: microseconds from the request to the decision."),
    "fallback": (pa.string(), "Online: what decided in place of the model; empty: the model."),
    PARTITION: (pa.date32(), "UTC day of the event."),
}
"""What a row holds besides its event and features: column -> type, description."""
FURTHER: Mapping[str, str] = {
    PREDICTION: "The likeliest class.",
    PROBABILITIES: "JSON: class -> probability, of every class that the model knows.",
    LOWER: "Lower end of the interval around the prediction.",
    UPPER: "Upper end of the interval around the prediction.",
}
"""Columns that only some tasks have (`jobs.scoring.decided_columns.further`), and their descriptions."""
_SCORES = {
    "multiclass": "The model's probability of the likeliest class.",
    "regression": "The output of the model's graph: a prediction.",
}
DESCRIPTIONS: Mapping[str, str] = {name: text for name, (_, text) in DECIDED.items()}


def decided(use_case: UseCase) -> dict[str, tuple[pa.DataType, str]]:
    """What a row of a use case holds besides its event and features: column -> type, description."""
    task = use_case.task
    columns = {**DECIDED, **{field.name: (field.type, FURTHER[field.name]) for field in further(task)}}
    if task in _SCORES:
        columns["score"] = (pa.float32(), _SCORES[task])
        columns["decision"] = (pa.bool_(), "Empty: nothing is decided from scores of this task.")
    return columns


def descriptions(use_case: UseCase) -> dict[str, str]:
    """Column -> description, of what a row of a use case holds besides its event and features."""
    return {name: text for name, (_, text) in decided(use_case).items()}


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_serving.prediction_log"


def event_columns(use_case: UseCase) -> tuple[str, ...]:
    """Id, entities and time of the event, under the use case's own names."""
    return (use_case.event_id, *use_case.entities, use_case.event_timestamp)


def schema(use_case: UseCase, event_types: Mapping[str, pa.DataType], features: Mapping[str, str]) -> pa.Schema:
    """The log's schema: event columns, what was decided, features by column and type (`Manifest.columns`).

    Raises ValueError if a feature bears a name that the log needs for something else.
    """
    own = {name: event_types[name] for name in event_columns(use_case)}
    own |= {name: kind for name, (kind, _) in decided(use_case).items()}
    if clashing := sorted(set(features) & own.keys()):
        raise Invalid(f"features {clashing}: expected other names than the prediction log's own; rename them")
    types = {NUMBER: pa.float32(), CATEGORY: pa.string()}
    return pa.schema({**own, **{name: types.get(kind, pa.string()) for name, kind in features.items()}})


def one_per_event(use_case: UseCase, rows: pa.Table) -> pa.Table:
    """Rows of the log, read with their `origin`: of an event that was decided online only that, which is what
    happened. Decisions of fallbacks, which have no score, and of events that tables knew already, are left out."""
    stands = pc.and_(pc.is_valid(rows.column("score")), pc.not_equal(rows.column("origin"), AGAIN))
    rows = rows.filter(stands)
    online = pc.equal(rows.column("origin"), ONLINE)
    if not pc.any(online).as_py():
        return rows
    ids = rows.column(use_case.event_id)
    decided = pc.is_in(ids, value_set=ids.filter(online).combine_chunks())
    return rows.filter(pc.or_(online, pc.invert(decided)))


def input_fields(use_case: UseCase) -> list[pa.Field]:
    """The features that are made of the event itself, as far as declarations say what they are."""
    kinds = use_case.kinds
    named = {age_name(name) if kinds.get(name) == "timestamp" else name: kinds.get(name) for name in use_case.inputs}
    texts = ("string", "category", "vector", "text")
    return [pa.field(name, pa.string() if kind in texts else pa.float32()) for name, kind in named.items()]


def make_room(lakehouse: Lakehouse, name: str, needed: pa.Schema) -> pa.Schema:
    """Give an existing log the columns of `needed` that it lacks; rows that are there keep theirs, with nulls.

    Returns the schema that is now the table's: `needed`, and features that only other models use.
    """
    if not lakehouse.exists(name):
        return needed
    existing = lakehouse.schema(name)
    if new := [field for field in needed if field.name not in existing.names]:
        from deltalake import Field, Schema

        fields: list[Field] = Schema.from_arrow(pa.schema(new)).fields
        lakehouse.delta(name).alter.add_columns(fields, commit_properties=keeping(lakehouse.state(name)))
    others = [pa.field(n, _logged(existing.field(n).type)) for n in existing.names if n not in needed.names]
    return pa.schema([*needed, *others])


def _logged(kind: pa.DataType) -> pa.DataType:
    """The type of a feature that only other models use, whichever of Arrow's types for texts the table was read as."""
    return pa.float32() if pa.types.is_float32(kind) else pa.string()


def feature_versions(state: Mapping[str, Any]) -> str:
    """A row's `feature_versions`: the same inputs give the same text."""
    return json.dumps(state, sort_keys=True, separators=(",", ":"))
