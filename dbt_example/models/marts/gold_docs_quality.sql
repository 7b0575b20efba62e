with pages as (
    select
        source_system,
        doc_id,
        max(source_uri) as source_uri,
        min(first_ingested_at) as first_ingested_at,
        max(pages_in_document) as pages_expected,
        count_if(status = 'ok') as pages_ok,
        count_if(status = 'blank') as pages_blank,
        count_if(status = 'failed') as pages_failed,
        count_if(method = 'text_layer') as pages_text_layer,
        count_if(method = 'ocr') as pages_ocr,
        count_if(review = 'approved') as pages_approved,
        count_if(review = 'rejected') as pages_rejected
    from {{ ref('stg_doc_pages') }}
    group by source_system, doc_id
),

blocks as (
    select
        source_system,
        doc_id,
        count_if(block_type = 'LINE') as lines,
        count_if(block_type = 'WORD') as words,
        count_if(is_unit) as units,
        count_if(is_unit and confidence < {{ var('low_confidence_below') }}) as doubtful_units,
        cast(avg(case when is_unit then confidence end) as decimal(5, 2)) as mean_confidence,
        max(patient_id) as patient_id,
        max(document_reference_id) as document_reference_id
    from {{ ref('stg_doc_blocks') }}
    group by source_system, doc_id
),

page_means as (
    select
        source_system,
        doc_id,
        min(page_confidence) as worst_page_confidence,
        -- A page that somebody has looked at and approved is not to be looked at again.
        min(case when review is null then page_confidence end) as worst_open_confidence
    from (
        select source_system, doc_id, page, max(review) as review, avg(confidence) as page_confidence
        from {{ ref('stg_doc_blocks') }}
        where is_unit
        group by source_system, doc_id, page
    ) as per_page
    group by source_system, doc_id
)

select
    pages.source_system,
    pages.doc_id,
    pages.source_uri,
    pages.first_ingested_at,
    pages.pages_expected,
    pages.pages_ok,
    pages.pages_blank,
    pages.pages_failed,
    pages.pages_text_layer,
    pages.pages_ocr,
    pages.pages_approved,
    pages.pages_rejected,
    coalesce(blocks.lines, 0) as lines,
    coalesce(blocks.words, 0) as words,
    coalesce(blocks.doubtful_units, 0) as doubtful_units,
    {{ share('blocks.doubtful_units', 'blocks.units') }} as doubtful_share,
    blocks.mean_confidence,
    cast(page_means.worst_page_confidence as decimal(5, 2)) as worst_page_confidence,
    case
        when pages.pages_failed = pages.pages_expected then 'unreadable'
        when pages.pages_failed > 0 or pages.pages_rejected > 0 then 'incomplete'
        when coalesce(blocks.units, 0) = 0 then 'empty'
        when page_means.worst_open_confidence < {{ var('low_confidence_below') }} then 'review'
        else 'good'
    end as quality,
    blocks.patient_id,
    blocks.document_reference_id
from pages
left join blocks
    on pages.source_system = blocks.source_system and pages.doc_id = blocks.doc_id
left join page_means
    on pages.source_system = page_means.source_system and pages.doc_id = page_means.doc_id
