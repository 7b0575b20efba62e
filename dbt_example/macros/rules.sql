{# Business rules that more than one model uses, each stated once. #}

{# Whole years from birth to a day; null where the day lies before birth. #}
{% macro age_years(birth, at) -%}
  case when {{ at }} >= {{ birth }} then cast(floor(months_between({{ at }}, {{ birth }}) / 12) as int) end
{%- endmacro %}

{# Ten-year bands from 15 on; one band from 85, since ages of 90 and more identify people (HIPAA Safe Harbor). #}
{% macro age_band(age) -%}
  case
    when {{ age }} is null then 'unknown'
    when {{ age }} < 5 then '00-04'
    when {{ age }} < 15 then '05-14'
    when {{ age }} < 25 then '15-24'
    when {{ age }} < 35 then '25-34'
    when {{ age }} < 45 then '35-44'
    when {{ age }} < 55 then '45-54'
    when {{ age }} < 65 then '55-64'
    when {{ age }} < 75 then '65-74'
    when {{ age }} < 85 then '75-84'
    else '85+'
  end
{%- endmacro %}

{# A small number of patients may identify them. #}
{% macro is_small_cell(patients) -%}
  ({{ patients }} > 0 and {{ patients }} < {{ var('small_cell_threshold') }})
{%- endmacro %}

{# A number that is withheld in a small cell when the site asks for that. #}
{% macro withheld(number, small) -%}
  {%- if var('suppress_small_cells') -%} case when not {{ small }} then {{ number }} end
  {%- else -%} {{ number }}
  {%- endif -%}
{%- endmacro %}

{# numerator / denominator as a fixed decimal: a double's last digit depends on the order of the rows. #}
{% macro share(numerator, denominator) -%}
  cast(case when {{ denominator }} > 0 then {{ numerator }} / cast({{ denominator }} as decimal(18, 0)) end as decimal(9, 6))
{%- endmacro %}
