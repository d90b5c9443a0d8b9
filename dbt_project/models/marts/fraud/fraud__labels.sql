-- One row per version of a payment's label at each place that versions of the payment gave it: the label is where the
-- payment was believed to be at that time. Visible in [known_at, superseded_at).
{{ config(unique_key=['transaction_id', 'known_at', 'event_date'], partition_by=['event_date'], meta={'gone': 'loaded_in < 0'}) }}

with touched as (
    select transaction_id from {{ ref('stg_fraud__fraud_reports') }} where {{ newer(seen='reports_loaded_in') }}
    {{ and_deleted(source('fraud_raw', 'fraud_reports'), 'transaction_id', 'reports_loaded_in') }}
    {% if is_incremental() %}
    union
    select transaction_id from {{ ref('fraud__transactions') }} where {{ newer(seen='transactions_loaded_in') }}
    {% endif %}
),

reports as (
    {{
        versions(
            ref('stg_fraud__fraud_reports'), 'transaction_id', 'select transaction_id from touched', source('fraud_raw', 'fraud_reports')
        )
    }}
),

{# The partition is the day of the payment's first version: corrections do not move it.
   Before its first version is known, a payment is where that has it; `greatest` and `least` leave nulls out. #}
placed as (
    select
        r.transaction_id,
        p.customer_id,
        p.terminal_id,
        p.tx_datetime,
        r.is_fraud,
        greatest(r.known_at, case when p.version > 1 then p.known_at end) as known_at,
        least(r.superseded_at, p.superseded_at) as superseded_at,
        {{ next_load() }} as loaded_in,
        r.changed_in as reports_loaded_in,
        p.loaded_in as transactions_loaded_in,
        p.first_event_date as event_date
    from reports as r
    inner join {{ ref('fraud__transactions') }} as p
        on
            r.transaction_id = p.transaction_id
            and (p.superseded_at is null or r.known_at < p.superseded_at)
            and (p.version = 1 or r.superseded_at is null or p.known_at < r.superseded_at)
)

select * from placed
{% if is_incremental() %}
{# A version that was known before the one that was taken for the first moves the partition. #}
union all
select
    t.transaction_id,
    t.customer_id,
    t.terminal_id,
    t.tx_datetime,
    t.is_fraud,
    t.known_at,
    t.superseded_at,
    -1 as loaded_in,
    t.reports_loaded_in,
    t.transactions_loaded_in,
    t.event_date
from {{ this }} as t
left semi join touched as c on t.transaction_id = c.transaction_id
left anti join placed as n
    on t.transaction_id = n.transaction_id and t.known_at = n.known_at and t.event_date = n.event_date
{% endif %}
