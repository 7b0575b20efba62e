select
    source_system,
    patient_id,
    -- A record that was merged into another counts as that person (one step; chains are not followed).
    coalesce(replaced_by, patient_id) as person_id,
    replaced_by,
    coalesce(gender, 'unknown') as gender,
    coalesce(birth_date, birth_date_low) as birth_earliest,
    coalesce(birth_date, birth_date_high) as birth_latest,
    coalesce(deceased, deceased_time is not null, false) as is_deceased,
    cast(deceased_time as date) as deceased_on
from {{ source('silver', 'silver_dim_patient') }}
