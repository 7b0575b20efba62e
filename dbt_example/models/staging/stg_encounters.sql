select
    source_system,
    encounter_id,
    patient_id,
    -- An encounter that did not happen, and a stay within another stay, would count the same care twice.
    part_of_id is null
        and coalesce(status, 'unknown') not in ('planned', 'cancelled', 'entered-in-error') as is_counted,
    coalesce(class_code, 'unknown') as class_code,
    case
        when class_code in ('IMP', 'ACUTE', 'NONAC', 'SS', 'OBSENC') then 'inpatient'
        when class_code = 'EMER' then 'emergency'
        when class_code = 'AMB' then 'ambulatory'
        when class_code = 'VR' then 'virtual'
        when class_code in ('HH', 'FLD') then 'home'
        when class_code is null then 'unknown'
        else 'other'
    end as class_group,
    period_start,
    period_end,
    -- A start known only to the month still belongs to a month; one known to the year does not.
    coalesce(
        cast(trunc(cast(period_start as date), 'MM') as date),
        case when period_start_text rlike '^[0-9]{4}-[0-9]{2}$'
            then try_to_date(concat(period_start_text, '-01'), 'yyyy-MM-dd') end
    ) as service_month,
    period_start is not null and period_end is null as is_open,
    -- Decimal: a sum of doubles depends on the order of the rows.
    cast(case when length_of_stay_hours >= 0 then length_of_stay_hours end as decimal(18, 4)) as stay_hours
from {{ source('silver', 'silver_fct_encounter') }}
