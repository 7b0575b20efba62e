{# A sum over the model equals a count over its source: no row lost, none counted twice. #}
{% test sum_reconciles(model, expression, source_relation, source_filter='true') %}
select counted, expected
from (
  select
    (select coalesce(sum({{ expression }}), 0) from {{ model }}) as counted,
    (select count(*) from {{ source_relation }} where {{ source_filter }}) as expected
) as totals
where counted <> expected
{% endtest %}
