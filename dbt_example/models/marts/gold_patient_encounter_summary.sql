with encounters as (
    select
        source_system,
        patient_id,
        count_if(is_counted) as encounters,
        count_if(not is_counted) as encounters_not_counted,
        count_if(is_counted and class_group = 'inpatient') as inpatient_encounters,
        count_if(is_counted and class_group = 'emergency') as emergency_encounters,
        count_if(is_counted and class_group = 'ambulatory') as ambulatory_encounters,
        count_if(is_counted and class_group not in ('inpatient', 'emergency', 'ambulatory')) as other_encounters,
        count_if(is_counted and is_open) as open_encounters,
        min(case when is_counted then period_start end) as first_encounter_at,
        max(case when is_counted then period_start end) as last_encounter_at,
        cast(sum(case when is_counted and class_group = 'inpatient' then stay_hours end) as decimal(18, 2))
            as inpatient_hours,
        cast(avg(case when is_counted and class_group = 'inpatient' then stay_hours end) / 24 as decimal(18, 2))
            as mean_inpatient_days
    from {{ ref('stg_encounters') }}
    where patient_id is not null
    group by source_system, patient_id
)

select
    coalesce(patients.source_system, encounters.source_system) as source_system,
    coalesce(patients.patient_id, encounters.patient_id) as patient_id,
    patients.patient_id is not null as has_patient_record,
    patients.replaced_by,
    coalesce(patients.gender, 'unknown') as gender,
    coalesce(patients.is_deceased, false) as is_deceased,
    patients.age_on,
    patients.age_years,
    coalesce(patients.age_band, 'unknown') as age_band,
    coalesce(encounters.encounters, 0) as encounters,
    coalesce(encounters.encounters_not_counted, 0) as encounters_not_counted,
    coalesce(encounters.inpatient_encounters, 0) as inpatient_encounters,
    coalesce(encounters.emergency_encounters, 0) as emergency_encounters,
    coalesce(encounters.ambulatory_encounters, 0) as ambulatory_encounters,
    coalesce(encounters.other_encounters, 0) as other_encounters,
    coalesce(encounters.open_encounters, 0) as open_encounters,
    encounters.first_encounter_at,
    encounters.last_encounter_at,
    encounters.inpatient_hours,
    encounters.mean_inpatient_days
from {{ ref('stg_patient_ages') }} as patients
full outer join encounters
    on patients.source_system = encounters.source_system and patients.patient_id = encounters.patient_id
