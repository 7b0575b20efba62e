select
    source_system,
    doc_id,
    page,
    block_type,
    -- What confidence is counted on: words, or lines on a page whose engine gives no words.
    block_type = 'WORD'
        or count_if(block_type = 'WORD') over (partition by source_system, doc_id, page) = 0 as is_unit,
    -- Decimal: a mean of doubles depends on the order of the rows.
    cast(confidence as decimal(9, 4)) as confidence,
    review,
    patient_id,
    document_reference_id
from {{ source('silver', 'silver_fct_doc_blocks') }}
where block_type in ('LINE', 'WORD')
