select
    source_system,
    condition_id,
    patient_id,
    coalesce(code, 'unknown') as code,
    coalesce(code_system, 'unknown') as code_system,
    code_text,
    clinical_status is not null
        and clinical_status in ('active', 'recurrence', 'relapse') as is_active,
    -- A diagnosis that was ruled out, or entered by mistake, is nobody's condition.
    coalesce(verification_status, 'confirmed') not in ('refuted', 'entered-in-error') as is_counted,
    cast(coalesce(recorded_time, onset_time) as date) as recorded_on
from {{ source('silver', 'silver_fct_condition') }}
