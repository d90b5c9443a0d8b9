{% test at_least(model, column_name, minimum) %}
{# Fails with the rows below `minimum` (write doubles with a D: 130.3D; see docs/operation/engines.md). #}
select *
from {{ model }}
where {{ column_name }} < {{ minimum }}
{% endtest %}
