{#
  A table that is rebuilt in full, the way an Iceberg table that people read should be.

  dbt's own `table` replaces the table on every run: a commit even where nothing changed, and under an Iceberg
  write branch it leaves readers an empty table. `incremental --full-refresh` drops it, history included. Here:

  * the table is created once, from the contract, with its NOT NULL columns and comments;
  * a column added to the contract is added by ALTER; one removed or retyped stops the model;
  * rows equal to those already there: nothing is committed;
  * otherwise one INSERT OVERWRITE replaces them: one snapshot, readers see the old rows or the new ones.

  It asks nothing of dbt's relation cache: a table that Spark fails to describe is taken there for one that is
  not Iceberg, and dropped.
#}
{% materialization lake_table, adapter='spark' %}
  {%- set target_relation = api.Relation.create(
        identifier=model['alias'], schema=schema, database=none, type='table') -%}
  {%- if env_var('LAKEHOUSE_GOLD_SCHEMA', '') not in ('', schema) -%}
    {# What dbt parsed for one schema and kept must not be run for another. #}
    {{ exceptions.raise_compiler_error(model.name ~ ': parsed for schema ' ~ schema ~ ', not for ' ~ env_var('LAKEHOUSE_GOLD_SCHEMA') ~ '; parse again with --no-partial-parse') }}
  {%- endif -%}
  {%- if not config.get('contract').enforced -%}
    {{ exceptions.raise_compiler_error(model.name ~ ': lake_table needs an enforced contract; set contract.enforced and list the columns') }}
  {%- endif -%}

  {{ run_hooks(pre_hooks) }}
  {{ get_assert_columns_equivalent(sql) }}
  {%- set query = get_select_subquery(sql) -%}

  {% do run_query(lake_table_create(target_relation)) %}
  {% do lake_table_align(target_relation) %}

  {%- if flags.FULL_REFRESH or lake_table_differs(target_relation, query) -%}
    {% call statement('main') -%}
      insert overwrite table {{ target_relation }} by name
      {{ query }}
    {%- endcall %}
  {%- else -%}
    {# dbt wants a statement called main; this one reads nothing and writes nothing. #}
    {% call statement('main') -%} select 1 as unchanged {%- endcall %}
    {{ log(target_relation ~ ': rows are as before, nothing committed', info=true) }}
  {%- endif -%}

  {{ run_hooks(post_hooks) }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{% macro lake_table_quoted(text) -%}
  '{{ text | replace("\\", "\\\\") | replace("'", "\\'") | replace("\n", " ") | trim }}'
{%- endmacro %}


{% macro lake_table_create(relation) -%}
  create table if not exists {{ relation }} (
    {%- for column in model.columns.values() %}
    {{ adapter.quote(column.name) }} {{ column.data_type }}
      {{- ' not null' if column.constraints | selectattr('type', 'equalto', 'not_null') | list }}
      comment {{ lake_table_quoted(column.description) }}{{ ',' if not loop.last }}
    {%- endfor %}
  )
  using iceberg
  {%- if config.get('partition_by') %}
  partitioned by ({{ config.get('partition_by') | join(', ') }})
  {%- endif %}
  comment {{ lake_table_quoted(model.description) }}
  tblproperties ('format-version' = '2')
{%- endmacro %}


{# Bring an existing table up to the contract, as far as that harms no reader. #}
{% macro lake_table_align(relation) %}
  {%- set present = {} -%}
  {%- for row in run_query('describe table ' ~ relation).rows -%}
    {%- if not row[0] or row[0].startswith('#') -%}{%- break -%}{%- endif -%}
    {%- do present.update({row[0] | lower: {'type': row[1] | lower, 'comment': row[2] or ''}}) -%}
  {%- endfor -%}
  {%- set added = [] -%}
  {%- for column in model.columns.values() -%}
    {%- set found = present.pop(column.name | lower, none) -%}
    {%- set quoted = adapter.quote(column.name) -%}
    {%- if found is none -%}
      {%- do added.append(quoted ~ ' ' ~ column.data_type ~ ' comment ' ~ lake_table_quoted(column.description)) -%}
    {%- elif found.type != column.data_type | lower -%}
      {{ lake_table_refuse(relation, column.name ~ ' is ' ~ found.type ~ ' in the table and ' ~ column.data_type ~ ' in the contract') }}
    {%- elif found.comment != column.description | replace('\n', ' ') | trim -%}
      {% do run_query('alter table ' ~ relation ~ ' alter column ' ~ quoted ~ ' comment ' ~ lake_table_quoted(column.description)) %}
    {%- endif -%}
  {%- endfor -%}
  {%- if present -%}
    {{ lake_table_refuse(relation, 'the table has columns the contract lacks: ' ~ present.keys() | join(', ')) }}
  {%- endif -%}
  {%- if added -%}
    {% do run_query('alter table ' ~ relation ~ ' add columns (' ~ added | join(', ') ~ ')') %}
  {%- endif -%}
{% endmacro %}


{% macro lake_table_refuse(relation, why) %}
  {{ exceptions.raise_compiler_error(
       relation ~ ': ' ~ why ~ '. Readers would break. Give the model a new version, or drop the table yourself.') }}
{% endmacro %}


{# One pass over both sides: a row that is there as often as it should be sums to nought. Nulls group as equal. #}
{% macro lake_table_differs(relation, query) %}
  {%- set columns = model.columns.values() | map(attribute='name') | map('lower') | list -%}
  {%- set names = [] -%}
  {%- for name in columns -%}{%- do names.append(adapter.quote(name)) -%}{%- endfor -%}
  {%- set names = names | join(', ') -%}
  {%- set difference -%}
    select 1 as differs
    from (
      select {{ names }}, 1 as lake_side from ({{ query }}) as lake_new
      union all
      select {{ names }}, -1 as lake_side from {{ relation }}
    ) as lake_both
    group by {{ names }}
    having sum(lake_side) <> 0
    limit 1
  {%- endset -%}
  {{ return(run_query(difference).rows | length > 0) }}
{% endmacro %}
