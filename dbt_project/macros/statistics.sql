{# Table properties of a model: floats have no statistics in the log (jobs/lakehouse/file_statistics.py says why).

   Columns are known once the model's query is a view: this is asked only when a table is created. #}

{% macro spark__tblproperties_clause() -%}
  {%- set properties = dict(config.get('tblproperties') or {}) -%}
  {%- if config.get('file_format') == 'delta' and 'delta.dataSkippingStatsColumns' not in properties -%}
    {%- do properties.update(statistics_of(model.alias ~ '__columns', model.compiled_code)) -%}
  {%- endif -%}
  {{ in_clause(properties) }}
{%- endmacro %}

{% macro in_clause(properties) %}
  {%- set clauses = [] -%}
  {%- for name, value in properties.items() -%}
    {%- do clauses.append("'" ~ name ~ "' = '" ~ value ~ "'") -%}
  {%- endfor -%}
  {{ return('tblproperties (' ~ clauses | join(', ') ~ ')' if clauses else '') }}
{% endmacro %}

{% macro statistics_of(view, query) %}
  {%- do run_query(create_temporary_view(view, query)) -%}
  {%- set names = [] -%}
  {%- for column in adapter.get_columns_in_relation(api.Relation.create(identifier=view)) -%}
    {%- set kind = column.dtype.split('(')[0].lower() -%}
    {%- if kind in ['tinyint', 'smallint', 'int', 'bigint', 'decimal', 'date', 'timestamp', 'string'] and
           column.name not in (config.get('partition_by') or []) -%}
      {%- do names.append('`' ~ column.name ~ '`') -%}
    {%- endif -%}
  {%- endfor -%}
  {%- do run_query('drop view if exists ' ~ view) -%}
  {{ return({'delta.dataSkippingStatsColumns': names | join(',')} if names else no_statistics()) }}
{% endmacro %}

{% macro no_statistics() %}
  {{ return({'delta.dataSkippingNumIndexedCols': '0'}) }}
{% endmacro %}
