{# Columns that a project declares of a source of a built-in use case, beside those that it has: `replace(FRAUD, ...)`. #}

{% macro extra_columns(use_case, source) -%}
  {{ return(declared_extra().get(use_case ~ '.' ~ source, [])) }}
{%- endmacro %}

{# The same in a list of columns, before others. #}
{% macro also(use_case, source) -%}
  {%- for name in extra_columns(use_case, source) %}{{ name }}, {% endfor -%}
{%- endmacro %}
