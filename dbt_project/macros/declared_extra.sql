{# `use case.source` -> columns; a project has its own file in the place of this one (jobs/projects/assembly.py). #}
{% macro declared_extra() %}{{ return({}) }}{% endmacro %}
