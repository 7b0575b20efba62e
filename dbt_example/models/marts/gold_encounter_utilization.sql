with followed as (
    select
        *,
        lead(period_start) over (
            partition by source_system, patient_id, class_group = 'inpatient', is_counted, period_start is null
            order by period_start, period_end, encounter_id
        ) as next_start
    from {{ ref('stg_encounters') }}
),

flagged as (
    select
        *,
        is_counted and class_group = 'inpatient' and period_end is not null and patient_id is not null
            as is_index_discharge,
        -- Beginning in the hour of the discharge is a transfer, not a readmission.
        next_start > period_end and next_start <= period_end + interval 30 days as is_followed_in_30_days
    from followed
)

select
    source_system,
    service_month,
    class_code,
    min(class_group) as class_group,
    count_if(is_counted) as encounters,
    count_if(not is_counted) as encounters_not_counted,
    count(distinct case when is_counted then patient_id end) as patients,
    count_if(is_counted and is_open) as open_encounters,
    count_if(is_counted and stay_hours is not null) as encounters_with_stay,
    cast(sum(case when is_counted then stay_hours end) as decimal(18, 2)) as total_stay_hours,
    cast(avg(case when is_counted then stay_hours end) as decimal(18, 2)) as mean_stay_hours,
    cast(percentile(case when is_counted then stay_hours end, 0.5) as decimal(18, 2)) as median_stay_hours,
    cast(percentile(case when is_counted then stay_hours end, 0.9) as decimal(18, 2)) as p90_stay_hours,
    count_if(is_index_discharge) as index_discharges,
    count_if(is_index_discharge and is_followed_in_30_days) as readmissions_30_days,
    {{ share('count_if(is_index_discharge and is_followed_in_30_days)', 'count_if(is_index_discharge)') }}
        as readmission_rate
from flagged
group by source_system, service_month, class_code
