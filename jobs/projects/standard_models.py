"""dbt models that follow from a use case's declarations: staging of its sources, marts of events, labels, profiles.

A project writes SQL only where there is logic: a model of its own takes the place of the one that is made here.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.profiles import ProfileFeatures
from jobs.projects import standard_targets
from jobs.use_case import Source, UseCase


def standard_models(use_case: UseCase) -> dict[str, str]:
    """Path below `models/` -> text, of every model that declarations say all of."""
    return dict(_models(use_case))


def _models(use_case: UseCase) -> Iterator[tuple[str, str]]:
    name = use_case.name
    tables = ", ".join(f"{{name: {source.name}}}" for source in use_case.sources)
    sources = f"version: 2\nsources:\n  - {{name: {name}_raw, schema: {name}_raw, tables: [{tables}]}}\n"
    yield f"staging/{name}/_{name}_sources.yml", sources
    events, labels = (_source_of(use_case, table) for table in (use_case.events, use_case.labels))
    versioned = {each.name: each for each in (events, *use_case.fact_sources) if each is not None}
    apart = [profile for profile in use_case.profiles if profile.source not in versioned]
    for source in use_case.sources:
        if all(source.name != profile.source for profile in apart):
            yield f"staging/{name}/stg_{name}__{source.name}.sql", _staging(use_case, source)
    for source in versioned.values():
        yield f"marts/{name}/{name}__{source.name}.sql", _versioned(use_case, source)
    if events is not None and labels is not None and labels.key == (use_case.event_id,):
        yield f"marts/{name}/{name}__{labels.name}.sql", _labels(use_case, labels)
    yield from standard_targets.models(use_case)
    for profile in apart:
        yield f"marts/{name}/{name}__{profile.source}.sql", _profile(use_case, profile)
    profiles = {profile.source: use_case.source(profile.source) for profile in apart}
    marts = {**versioned, **profiles, **({} if labels is None else {labels.name: labels})}.values()
    if marts:
        yield f"marts/{name}/_{name}_marts.yml", "version: 2\nmodels:\n" + "".join(_tests(use_case, s) for s in marts)


def _source_of(use_case: UseCase, table: str) -> Source | None:
    """The source that a mart is the versions of, by its name."""
    return next((each for each in use_case.sources if each.name == table.split(".")[1]), None)


def _raw(use_case: UseCase, source: Source) -> str:
    return f"source('{use_case.raw_schema}', '{source.name}')"


def _columns(source: Source) -> list[str]:
    """Columns that tables have under their own names; when a row was known is `known_at`, and may be its time, too."""
    kept = (source.event_time, *source.key)
    return [each.name for each in source.columns if each.name in kept or each.name != source.known_at]


def _staging(use_case: UseCase, source: Source) -> str:
    columns, raw = _columns(source), _raw(use_case, source)
    return f"""-- Every version of every row of {source.name}.
{{{{ config(partition_by=['event_date']) }}}}

select {", ".join([*columns, "known_at", "loaded_in", "event_date"])}
from {{{{ {raw} }}}}
where {{{{ newer() }}}}{f" and {{{{ kept({raw}) }}}}" if source.deletions else ""}
"""


def _touched(use_case: UseCase, source: Source, seen: str = "") -> str:
    """The query of keys that new loads brought, or deleted."""
    key, newer = source.key[0], f"newer({f'seen={seen!r}' if seen else ''})"
    deleted = f", {seen!r}" if seen else ""
    gone = f"\n    {{{{ and_deleted({_raw(use_case, source)}, '{key}'{deleted}) }}}}" if source.deletions else ""
    return f"select {key} from {{{{ ref('stg_{use_case.name}__{source.name}') }}}} where {{{{ {newer} }}}}{gone}"


def _versions(use_case: UseCase, source: Source) -> str:
    staged, key = f"ref('stg_{use_case.name}__{source.name}')", source.key[0]
    raw = f", {_raw(use_case, source)}" if source.deletions else ""
    return f"{{{{ versions({staged}, '{key}', 'select {key} from touched'{raw}) }}}}"


def _versioned(use_case: UseCase, source: Source) -> str:
    key, columns = source.key[0], _columns(source)
    kept = ["known_at", "version", "superseded_at", "changed_in as loaded_in", "first_event_date", "event_date"]
    return f"""-- One row per version, visible in [known_at, superseded_at).
{{{{ config(unique_key=['{key}', 'known_at']{", partition_by=['event_date']" if source.daily else ""}) }}}}

with touched as (
    {_touched(use_case, source)}
),

versions as (
    {_versions(use_case, source)}
)

select {", ".join([*columns, *kept])}
from versions
"""


def _labels(use_case: UseCase, source: Source) -> str:
    """A label is where its event was believed to be at that time: a row for each place that versions gave it."""
    key, events = use_case.event_id, f"{use_case.name}__{use_case.events.split('.')[1]}"
    # Columns of which a key is made are those of the event.
    others = {key, source.known_at, *(name for each in source.columns for name in each.made_of)}
    own = [each.name for each in source.columns if each.name not in others]
    of_event = [*use_case.entities, use_case.event_timestamp]
    columns = [key, *of_event, *own]
    placed = ",\n        ".join([f"r.{key}", *(f"p.{name}" for name in of_event), *(f"r.{name}" for name in own)])
    return f"""-- One row per version of a label at each place that versions of its event gave it.
{{{{ config(
    unique_key=['{key}', 'known_at', 'event_date'], partition_by=['event_date'], meta={{'gone': 'loaded_in < 0'}}
) }}}}

with touched as (
    {_touched(use_case, source, "reports_loaded_in")}
    {{% if is_incremental() %}}
    union
    select {key} from {{{{ ref('{events}') }}}} where {{{{ newer(seen='events_loaded_in') }}}}
    {{% endif %}}
),

reports as (
    {_versions(use_case, source)}
),

placed as (
    select
        {placed},
        greatest(r.known_at, case when p.version > 1 then p.known_at end) as known_at,
        least(r.superseded_at, p.superseded_at) as superseded_at,
        {{{{ next_load() }}}} as loaded_in,
        r.changed_in as reports_loaded_in,
        p.loaded_in as events_loaded_in,
        p.first_event_date as event_date
    from reports as r
    inner join {{{{ ref('{events}') }}}} as p
        on
            r.{key} = p.{key}
            and (p.superseded_at is null or r.known_at < p.superseded_at)
            and (p.version = 1 or r.superseded_at is null or p.known_at < r.superseded_at)
)

select * from placed
{{% if is_incremental() %}}
union all
select
    {", ".join(f"t.{name}" for name in columns)}, t.known_at, t.superseded_at, -1 as loaded_in,
    t.reports_loaded_in, t.events_loaded_in, t.event_date
from {{{{ this }}}} as t
left semi join touched as c on t.{key} = c.{key}
left anti join placed as n on t.{key} = n.{key} and t.known_at = n.known_at and t.event_date = n.event_date
{{% endif %}}
"""


def _profile(use_case: UseCase, profile: ProfileFeatures) -> str:
    source = use_case.source(profile.source)
    columns = list(dict.fromkeys([source.event_time, *profile.columns]))
    return f"""-- One row per version of {source.name}, visible in [known_at, superseded_at).
{{{{ config(unique_key=['{source.key[0]}', 'known_at']) }}}}

{{{{ profiles({_raw(use_case, source)}, '{source.key[0]}', {columns!r}) }}}}
"""


def _tests(use_case: UseCase, source: Source) -> str:
    key, is_labels = source.key[0], source.name == use_case.labels.split(".")[1]
    unique = [key, "known_at", "event_date"] if is_labels else [key, "known_at"]
    return f"""  - name: {use_case.name}__{source.name}
    data_tests:
      - unique_together: {{arguments: {{columns: [{", ".join(unique)}]}}}}
    columns:
      - {{name: {key}, data_tests: [not_null]}}
      - {{name: known_at, data_tests: [not_null]}}
"""
