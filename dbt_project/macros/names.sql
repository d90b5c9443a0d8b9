{# Schemas are used as declared, and a model `stg_fraud__transactions` or `fraud__transactions` is the table
   `transactions` of its schema: model names are unique over the project, table names need not be. #}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or target.schema }}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
  {{ custom_alias_name or node.name.split('__')[-1] }}
{%- endmacro %}
