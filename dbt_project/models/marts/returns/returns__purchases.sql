-- One row per version of a purchased line, visible in [known_at, superseded_at).
{{ config(unique_key=['line_id', 'known_at'], partition_by=['event_date']) }}

with touched as (
    select line_id from {{ ref('stg_returns__lines') }} where {{ newer() }}
),

versions as (
    {{ versions(ref('stg_returns__lines'), 'line_id', 'select line_id from touched') }}
)

select
    line_id,
    invoiced_at,
    buyer_id,
    item_id,
    quantity,
    unit_price,
    {{ also('returns', 'lines') }}
    amount,
    is_abroad,
    known_at,
    version,
    superseded_at,
    changed_in as loaded_in,
    first_event_date,
    event_date
from versions
where quantity > 0
