-- People, not records: a merged patient record counts as the record that replaced it.
with people as (
    select source_system, patient_id as person_id, gender, age_band
    from {{ ref('stg_patient_ages') }}
    where replaced_by is null
),

populations as (
    select
        source_system,
        coalesce(age_band, 'all') as age_band,
        coalesce(gender, 'all') as gender,
        count(*) as population
    from people
    group by source_system, grouping sets ((), (age_band), (gender), (age_band, gender))
),

diagnoses as (
    select
        people.source_system,
        people.person_id,
        people.age_band,
        people.gender,
        conditions.code_system,
        conditions.code,
        max(conditions.is_active) as is_active,
        min(conditions.code_text) as code_text
    from {{ ref('stg_conditions') }} as conditions
    inner join {{ ref('stg_patients') }} as records
        on conditions.source_system = records.source_system and conditions.patient_id = records.patient_id
    inner join people
        on records.source_system = people.source_system and records.person_id = people.person_id
    where conditions.is_counted
    group by all
),

names as (
    select code_system, code, min(code_text) as code_text
    from diagnoses
    group by code_system, code
),

counts as (
    select
        source_system,
        code_system,
        code,
        coalesce(age_band, 'all') as age_band,
        coalesce(gender, 'all') as gender,
        count(*) as patients_ever,
        count_if(is_active) as patients_active
    from diagnoses
    group by source_system, code_system, code, grouping sets ((), (age_band), (gender), (age_band, gender))
),

cells as (
    select
        counts.*,
        names.code_text,
        populations.population,
        {{ is_small_cell('counts.patients_ever') }} or {{ is_small_cell('counts.patients_active') }}
            as is_small_cell
    from counts
    inner join populations
        on counts.source_system = populations.source_system
        and counts.age_band = populations.age_band
        and counts.gender = populations.gender
    left join names
        on counts.code_system = names.code_system and counts.code = names.code
)

select
    source_system,
    code_system,
    code,
    code_text,
    age_band,
    gender,
    population,
    is_small_cell,
    {{ withheld('patients_ever', 'is_small_cell') }} as patients_ever,
    {{ withheld('patients_active', 'is_small_cell') }} as patients_active,
    {{ withheld(share('patients_ever', 'population'), 'is_small_cell') }} as prevalence_ever,
    {{ withheld(share('patients_active', 'population'), 'is_small_cell') }} as prevalence_active
from cells
