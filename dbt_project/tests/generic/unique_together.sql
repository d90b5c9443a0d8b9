{% test unique_together(model, columns) %}
{# Fails with the key values that occur more than once; keys of tested rows alone are not counted again. #}
{%- set rows = untested() %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }} as rows_of_keys
{% if rows -%}
left semi join (select {{ columns | join(', ') }} from {{ model }} where {{ rows }}) as untested
    on {% for column in columns %}rows_of_keys.{{ column }} <=> untested.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
{% endif -%}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
