{# The times of a use case's schedule as rows, column `at`. Evergreen names them in the variable `scheduled`, by use case
   (jobs/lakehouse/scheduled_times.py): SQL of engines knows neither weekdays of a time zone nor its summer time alike. #}

{% macro scheduled_times(use_case) -%}
  {%- set times = var('scheduled', {}).get(use_case, []) -%}
  {%- if times -%}
    select explode(array(
      {%- for at in times %}timestamp '{{ at }}'{{ ', ' if not loop.last }}{% endfor -%}
    )) as at
  {%- else -%}
    select cast(null as timestamp) as at where false
  {%- endif -%}
{%- endmacro %}
