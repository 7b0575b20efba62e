-- The pages of the documents that are there now. A file that was replaced under its name is gone, as in silver;
-- the same bytes under two names, or loaded twice, are one document, whose newest reading of each page stays.
with senders as (
    select distinct doc_id, source_system
    from {{ source('silver', 'silver_fct_doc_blocks') }}
),

-- A document that came inside records has no sender in bronze: it is that of each one who sent it, as in silver.
pages as (
    select
        coalesce(senders.source_system, found.source_system) as source_system,
        found.* except (source_system)
    from {{ source('bronze', 'bronze_docs_pages') }} as found
    left join senders
        on found.source_system = '/attachment' and found.doc_id = senders.doc_id
),

live as (
    select *
    from (
        select
            *,
            max_by(source_etag, struct(ingested_at, source_etag)) over (
                partition by source_system, source_uri
            ) as newest_etag
        from pages
    ) as versions
    where source_etag = newest_etag
)

select
    source_system,
    doc_id,
    page,
    pages_in_document,
    status,
    method,
    review,
    source_uri,
    first_ingested_at
from (
    select
        *,
        min(ingested_at) over (partition by source_system, doc_id) as first_ingested_at,
        row_number() over (
            partition by source_system, doc_id, page
            order by ingested_at desc, source_uri desc, source_etag desc
        ) as reading
    from live
) as readings
where reading = 1
