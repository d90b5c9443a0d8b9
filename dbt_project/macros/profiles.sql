{# A mart of entity profiles: one row per version of a profile with these columns, visible in [known_at, superseded_at). #}

{% macro profiles(relation, key, columns) %}
with touched as (
    select {{ key }} from {{ relation }} where {{ newer() }}
),

profiles as (
    select * from {{ relation }} where {{ kept(relation) }}
),

versions as (
    {{ versions('profiles', key, 'select ' ~ key ~ ' from touched', relation) }}
)

select
    {{ key }},
    {{ columns | join(',\n    ') }},
    known_at,
    superseded_at,
    changed_in as loaded_in
from versions
-- Profiles began on thousands of days, each a partition of the raw table: without an order each would become a file.
order by {{ key }}, known_at
{% endmacro %}
