{% test unique_together(model, columns) %}
{# Fails with the key values that occur more than once. #}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
