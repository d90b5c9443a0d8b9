-- Every version of every invoice line, with what the marts ask of it.
{{ config(partition_by=['event_date']) }}

select
    line_id,
    invoiced_at,
    buyer_id,
    {# The same article is written in both cases, also within one file. #}
    upper(trim(item_id)) as item_id,
    quantity,
    unit_price,
    {{ also('returns', 'lines') }}
    quantity * unit_price as amount,
    coalesce(country <> 'United Kingdom', false) as is_abroad,
    known_at,
    loaded_in,
    event_date
from {{ source('returns_raw', 'lines') }}
where {{ newer() }}
