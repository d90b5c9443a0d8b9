{# History of a relation that holds one row per version. Each row gets `version` (1, 2, ...), `superseded_at` (when the
   next version of its key, or a deletion in the raw table `raw`, became known), `changed_in` (the last load that changed
   the row: the next version's or the deletion's ends it, and one that was known earlier numbers all later ones anew) and
   `first_event_date` (of version 1: a partition that corrections do not move).
   On an incremental run only keys of which `touched` (a subquery of keys) speaks are looked at, all their versions.
   Nearly every key has one version, and a window over as many partitions as rows is slow on any engine (Sail: 32 s
   for 1.5 M), so the window runs over the few keys with several. #}

{% macro versions(relation, key, touched, raw=none) %}
    {%- set ends = raw is not none and has_deletions(raw) -%}
    {%- set followed_at = 'lead(c.known_at) over (partition by c.' ~ key ~ ' order by c.known_at)' -%}
    with candidates as (
        select s.* {%- if ends %}, e.ended_at, e.ended_in {%- endif %}
        from {{ relation }} as s
        {% if ends %} {{ join_ends(relation, key, raw) }} {% endif %}
        {% if is_incremental() %} left semi join ({{ touched }}) as t on s.{{ key }} = t.{{ key }} {% endif %}
    ),

    repeated as (
        select {{ key }} from candidates group by {{ key }} having count(*) > 1
    )

    select
        c.*,
        1 as version,
        {{ 'c.ended_at' if ends else 'cast(null as timestamp)' }} as superseded_at,
        {{ 'greatest(c.loaded_in, c.ended_in)' if ends else 'c.loaded_in' }} as changed_in,
        c.event_date as first_event_date
    from candidates as c
    left anti join repeated as r on c.{{ key }} = r.{{ key }}
    union all
    select
        c.*,
        cast(row_number() over (partition by c.{{ key }} order by c.known_at) as int) as version,
        {{ 'least(' ~ followed_at ~ ', c.ended_at)' if ends else followed_at }} as superseded_at,
        {% if ends -%} greatest(case when c.ended_at < {{ followed_at }} or {{ followed_at }} is null then c.ended_in end, {%- endif %}
        max(c.loaded_in) over (
            partition by c.{{ key }} order by c.known_at rows between unbounded preceding and 1 following
        ) {%- if ends -%} ) {%- endif %} as changed_in,
        first_value(c.event_date) over (partition by c.{{ key }} order by c.known_at) as first_event_date
    from candidates as c
    left semi join repeated as r on c.{{ key }} = r.{{ key }}
{% endmacro %}
