{# Rows that passed a test are not tested again, as long as they and the test are the same. Evergreen names the tables
   that are as they were when all their tests passed, with the last load in them, in the variable `tested`
   (jobs/lakehouse/dbt_models.py); every row that changes later has a greater `loaded_in`. #}

{% macro untested() %}
  {%- set known = var('tested', {}) -%}
  {%- set loads = [] -%}
  {%- for name in model.depends_on.nodes if name.split('.')[0] != 'macro' -%}
    {%- do loads.append(known.get(name)) -%}
  {%- endfor -%}
  {{ return(none if none in loads else 'loaded_in > ' ~ known.get(model.attached_node)) }}
{% endmacro %}

{# What a test reads of the table it is about. One that judges each row by itself reads the untested rows only. #}
{% macro get_where_subquery(relation) -%}
  {%- set row_by_row = ['not_null', 'accepted_values', 'relationships', 'at_least', 'not_before'] -%}
  {%- set conditions = [config.get('where'), untested() if model.test_metadata.name in row_by_row else none] | select -%}
  {%- set conditions = conditions | join(') and (') -%}
  {{ return('(select * from ' ~ relation ~ ' where (' ~ conditions ~ ')) dbt_subquery' if conditions else relation) }}
{%- endmacro %}
