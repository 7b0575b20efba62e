{#
  A source as it is; or, where LAKEHOUSE_SOURCES_AS_OF says so, as of a snapshot. That variable holds a JSON object:
  namespace.table to the id of its snapshot, null for one that had no rows then. Either all sources are in it, or none:
  gold of two moments is gold of none.
#}
{% macro source(source_name, table_name) -%}
  {%- set relation = builtins.source(source_name, table_name) -%}
  {%- set snapshots = fromjson(env_var('LAKEHOUSE_SOURCES_AS_OF', '') or '{}') -%}
  {%- if not execute or not snapshots -%}
    {{ return(relation) }}
  {%- endif -%}
  {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
  {%- if name not in snapshots -%}
    {{ exceptions.raise_compiler_error(name ~ ' is to be read as of a moment, and has no snapshot in LAKEHOUSE_SOURCES_AS_OF') }}
  {%- elif snapshots[name] is none -%}
    {{ return('(select * from ' ~ relation ~ ' where false)') }}
  {%- else -%}
    {{ return(relation ~ ' version as of ' ~ snapshots[name]) }}
  {%- endif -%}
{%- endmacro %}
