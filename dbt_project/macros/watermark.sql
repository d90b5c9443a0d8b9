{# Loads are numbered. `newer(column)` keeps the rows of loads that this model has not seen yet; `seen` names the
   model's own column that holds the last load it took from that input. #}

{% macro newer(column='loaded_in', seen='loaded_in') -%}
  {%- if is_incremental() -%}
    {{ column }} > (select coalesce(max({{ seen }}), 0) from {{ this }})
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}
