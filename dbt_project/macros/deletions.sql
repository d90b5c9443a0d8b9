{# Deletions: rows of a raw table that say that the row of their key is no more, from their known_at on. They bear
   `row_deleted`, a column that a raw table has from its first deletion on; without one the statements are as short as
   without these macros. The column is asked of a query, as Sail's catalog does not hear of it. #}

{% macro has_deletions(raw) %}
  {{ return(execute and 'row_deleted' in run_query('select * from ' ~ raw ~ ' limit 0').column_names) }}
{% endmacro %}

{# Condition of the rows of a raw table that are no deletions. #}
{% macro kept(raw) -%}
  {{ 'coalesce(not row_deleted, true)' if has_deletions(raw) else 'true' }}
{%- endmacro %}

{# Behind a query of keys: those that loads deleted which this model has not seen yet. #}
{% macro and_deleted(raw, key, seen='loaded_in') -%}
  {%- if has_deletions(raw) -%}
    union select {{ key }} from {{ raw }} where row_deleted and {{ newer(seen=seen) }}
  {%- endif -%}
{%- endmacro %}

{# Behind a join's left side `s`: the first deletion of each version's key after it, as `e.ended_at` and the load that
   brought it, `e.ended_in`. #}
{% macro join_ends(relation, key, raw) -%}
  left join (
      select
          v.{{ key }},
          v.known_at,
          min(d.known_at) as ended_at,
          min_by(d.loaded_in, d.known_at) as ended_in
      from {{ relation }} as v
      inner join {{ raw }} as d on v.{{ key }} = d.{{ key }} and v.known_at < d.known_at
      where d.row_deleted
      group by v.{{ key }}, v.known_at
  ) as e on s.{{ key }} = e.{{ key }} and s.known_at = e.known_at
{%- endmacro %}
