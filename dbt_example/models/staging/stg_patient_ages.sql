-- One row per patient record with the age at which it is counted. The day is taken from the patient's own
-- data, not from the clock: gold built tomorrow over the same silver must be the same gold.
with contacts as (
    select source_system, patient_id, max(contact_on) as last_contact_on
    from (
        select source_system, patient_id, cast(period_start as date) as contact_on
        from {{ ref('stg_encounters') }}
        where is_counted
        union all
        select source_system, patient_id, recorded_on as contact_on
        from {{ ref('stg_conditions') }}
        where is_counted
    ) as contact
    group by source_system, patient_id
),

dated as (
    select
        patients.*,
        {% if var('as_of_date') -%}
        least(date '{{ var("as_of_date") }}', patients.deceased_on)
        {%- else -%}
        coalesce(patients.deceased_on, contacts.last_contact_on)
        {%- endif %} as age_on
    from {{ ref('stg_patients') }} as patients
    left join contacts
        on patients.source_system = contacts.source_system and patients.patient_id = contacts.patient_id
),

aged as (
    select
        *,
        {{ age_years('birth_latest', 'age_on') }} as age_low,
        {{ age_years('birth_earliest', 'age_on') }} as age_high
    from dated
)

select
    source_system,
    patient_id,
    person_id,
    replaced_by,
    gender,
    is_deceased,
    age_on,
    -- A birth date known to the year leaves two ages open. The age is given only where both agree, the band
    -- wherever both fall into one.
    case when age_low = age_high then age_low end as age_years,
    case when {{ age_band('age_low') }} = {{ age_band('age_high') }} then {{ age_band('age_low') }}
        else 'unknown' end as age_band
from aged
