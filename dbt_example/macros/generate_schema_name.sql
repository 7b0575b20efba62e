{#
  A model's schema is the one it states. dbt's default would build gold_gold. LAKEHOUSE_GOLD_SCHEMA sends all of them
  elsewhere: gold as of another moment must not take the place of today's.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (env_var('LAKEHOUSE_GOLD_SCHEMA', '') or custom_schema_name or target.schema) | trim }}
{%- endmacro %}
