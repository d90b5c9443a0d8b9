"""dbt models of targets that a schedule makes, and of labels that a rule makes.

Both compare what facts say now with what their table holds: only rows that are new, or that turned out otherwise, are
written, with a new number in `loaded_in`.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.conditions import Condition, conditions
from jobs.lakehouse.sql_text import literal
from jobs.targets import HorizonLabel, Schedule
from jobs.use_case import UseCase

NEXT = "{{ next_load() }}"


def models(use_case: UseCase) -> Iterator[tuple[str, str]]:
    """Path below `models/` -> text."""
    if use_case.schedule is not None:
        yield _path(use_case, use_case.events), _targets(use_case, use_case.schedule)
    if use_case.horizon_label is not None:
        yield _path(use_case, use_case.labels), _labels(use_case, use_case.horizon_label)


def _path(use_case: UseCase, table: str) -> str:
    return f"marts/{use_case.name}/{_model(use_case, table)}.sql"


def _model(use_case: UseCase, table: str) -> str:
    return f"{use_case.name}__{table.split('.')[1]}"


def _targets(use_case: UseCase, schedule: Schedule) -> str:
    """A target for each time of the schedule in a span in which rows of the source say that its entity exists.

    Of the rows that hold still, one span for each entity is left: joined with the times they would be as many as facts.
    """
    id, at, keys = use_case.event_id, use_case.event_timestamp, ", ".join(use_case.entities)
    source = use_case.source(schedule.entities_of)
    mart = _model(use_case, use_case.mart(source.name))
    ends = f"least(superseded_at, {schedule.until})" if schedule.until else "superseded_at"
    known = " and ".join(f"{key} is not null" for key in use_case.entities)
    names = ", ".join(f"cast(s.{key} as string)" for key in use_case.entities)
    return f"""-- One row per entity of {source.name} and time of the schedule ({schedule.every}, {schedule.zone}).
{{{{ config(unique_key=['{id}', 'known_at'], partition_by=['event_date']) }}}}

with times as (
    {{{{ scheduled_times('{use_case.name}') }}}}
),

existing as (
    select {keys}, greatest({source.event_time}, known_at) as since, {ends} as until
    from {{{{ ref('{mart}') }}}}
    where {known}
),

spans as (
    select {keys}, min(since) as since, cast(null as timestamp) as until
    from existing
    where until is null
    group by {keys}
    union all
    select {keys}, since, until
    from existing
    where until is not null
),

targets as (
    select distinct
        concat_ws('@', {names}, date_format(t.at, "yyyy-MM-dd'T'HH:mm'Z'")) as {id},
        {", ".join(f"s.{key}" for key in use_case.entities)},
        t.at as {at}
    from spans as s
    inner join times as t on s.since <= t.at and (s.until is null or t.at < s.until)
)

select
    {id}, {keys}, {at}, {at} as known_at, 1 as version, cast(null as timestamp) as superseded_at,
    {NEXT} as loaded_in,
    cast({at} as date) as first_event_date, cast({at} as date) as event_date
from targets
{{% if is_incremental() %}}
left anti join (select {id} as held from {{{{ this }}}} where superseded_at is null) as h on {id} = h.held
union all
-- Later rows say that it did not exist then, as far as was known: it was never visible.
select
    {id}, {keys}, {at}, known_at, version, known_at as superseded_at, {NEXT} as loaded_in,
    first_event_date, event_date
from {{{{ this }}}}
left anti join (select {id} as found from targets) as f on {id} = f.found
where superseded_at is null
{{% endif %}}
"""


def _labels(use_case: UseCase, label: HorizonLabel) -> str:
    """A version at the end of the horizon, and one at each moment at which what is known of it changes later."""
    id, at, keys = use_case.event_id, use_case.event_timestamp, use_case.entities
    source = use_case.source(label.facts)
    targets, facts = (_model(use_case, table) for table in (use_case.events, use_case.mart(source.name)))
    end = f"{at} + interval '{label.horizon.total_seconds():.0f}' second"
    same = " and ".join(f"t.{key} = f.{key}" for key in keys)
    chosen = "".join(f"\n        and {_condition(each)}" for each in conditions(label.where))
    value = {
        "any": "count(f.known_at) > 0",
        "none": "count(f.known_at) = 0",
        "count": "cast(count(f.known_at) as double)",
    }
    # A target of a schedule that did not exist after all has ended; a first version of an event may be corrected later.
    held = "" if use_case.schedule is None else " and superseded_at is null"
    made = value.get(label.value, "coalesce(sum(cast(f.value as double)), 0)")
    entities = ", ".join(keys)
    return f"""-- One row per version of a label: what {source.name} were in the {label.horizon} after the target.
{{{{ config(unique_key=['{id}', 'known_at'], partition_by=['event_date'], meta={{'gone': 'loaded_in < 0'}}) }}}}

with targets as (
    select {id}, {entities}, {at}, {end} as ends_at, event_date
    from {{{{ ref('{targets}') }}}}
    where version = 1{held} and {end} <= (select max(known_at) from {{{{ ref('{facts}') }}}})
),

followed as (
    select t.{id}, t.ends_at, f.known_at, f.superseded_at, f.{label.column or source.key[0]} as value
    from targets as t
    inner join {{{{ ref('{facts}') }}}} as f on {same}
    where f.{source.event_time} > t.{at} and f.{source.event_time} <= t.ends_at{chosen}
),

later as (
    select {id}, known_at as moment from followed where known_at > ends_at
    union
    select {id}, superseded_at as moment from followed where superseded_at > ends_at
),

moments as (
    select t.{id}, t.ends_at as known_at, l.until as superseded_at
    from targets as t
    left join (select {id}, min(moment) as until from later group by {id}) as l on t.{id} = l.{id}
    union all
    select {id}, moment as known_at, lead(moment) over (partition by {id} order by moment) as superseded_at
    from later
),

valued as (
    select m.{id}, m.known_at, m.superseded_at, {made} as {use_case.label}
    from moments as m
    left join followed as f
        on m.{id} = f.{id} and f.known_at <= m.known_at and (f.superseded_at is null or m.known_at < f.superseded_at)
    group by m.{id}, m.known_at, m.superseded_at
),

labels as (
    select v.{id}, {", ".join(f"t.{key}" for key in keys)}, t.{at}, v.{use_case.label}, v.known_at, v.superseded_at,
        t.event_date
    from valued as v
    inner join targets as t on v.{id} = t.{id}
)

select
    n.{id}, {", ".join(f"n.{key}" for key in keys)}, n.{at}, n.{use_case.label}, n.known_at, n.superseded_at,
    {NEXT} as loaded_in, n.event_date
from labels as n
{{% if is_incremental() %}}
left anti join {{{{ this }}}} as h
    on n.{id} = h.{id} and n.known_at = h.known_at and n.superseded_at <=> h.superseded_at
    and n.{use_case.label} <=> h.{use_case.label}
union all
select
    h.{id}, {", ".join(f"h.{key}" for key in keys)}, h.{at}, h.{use_case.label}, h.known_at, h.superseded_at,
    -1 as loaded_in, h.event_date
from {{{{ this }}}} as h
left anti join labels as n on h.{id} = n.{id} and h.known_at = n.known_at
{{% endif %}}
"""


def _condition(each: Condition) -> str:
    """SQL of a condition on a column of facts; it holds of no null."""
    value = each.value
    if each.comparison == "in":
        return f"f.{each.column} in ({', '.join(map(literal, value))})"
    return f"f.{each.column} {'=' if each.comparison == '==' else each.comparison} {literal(value)}"
