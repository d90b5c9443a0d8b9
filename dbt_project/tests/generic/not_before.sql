{% test not_before(model, column_name, earliest) %}
{# Fails with the rows whose `column_name` lies before `earliest`: nothing is known before it happened. #}
select *
from {{ model }}
where {{ column_name }} < {{ earliest }}
{% endtest %}
