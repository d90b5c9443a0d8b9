{# Loads are numbered. `newer(column)` keeps the rows of loads that this model has not seen yet; `seen` names the
   model's own column that holds the last load it took from that input. The number stands in the statement as a
   literal: only those prune files. #}

{% macro newer(column='loaded_in', seen='loaded_in') -%}
  {%- if is_incremental() and execute -%}
    {{ column }} > {{ run_query('select coalesce(max(' ~ seen ~ '), 0) from ' ~ this).columns[0].values()[0] }}
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}

{# The number of what this model writes now, where its rows come of several inputs: one more than all that it has. #}
{% macro next_load() -%}
  {%- if is_incremental() -%} 1 + (select coalesce(max(loaded_in), 0) from {{ this }}) {%- else -%} 1 {%- endif -%}
{%- endmacro %}
