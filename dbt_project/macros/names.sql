{# A model's folder says where its table is: models/marts/fraud/ is the schema `fraud`, models/staging/fraud/ the schema
   `fraud_staging`, each a folder of the warehouse; a use case needs no entry in dbt_project.yml. A model
   `stg_fraud__transactions` or `fraud__transactions` is the table `transactions` of its schema: model names are unique
   over the project, table names need not be. #}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- if custom_schema_name -%}
    {{ custom_schema_name }}
  {%- elif node.resource_type == 'model' and node.fqn | length > 3 -%}
    {{ node.fqn[2] if node.fqn[1] == 'marts' else node.fqn[2] ~ '_' ~ node.fqn[1] }}
  {%- else -%}
    {{ target.schema }}
  {%- endif -%}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
  {{ custom_alias_name or node.name.split('__')[-1] }}
{%- endmacro %}

{% macro spark__location_clause() %}
  location '{{ env_var('EVERGREEN_WAREHOUSE') }}/{{ model.schema }}/{{ model.alias }}'
{%- endmacro %}
