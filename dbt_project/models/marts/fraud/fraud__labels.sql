-- One row per version of a payment's label, with the entities it is about, visible in [known_at, superseded_at).
{{ config(unique_key=['transaction_id', 'known_at'], partition_by=['event_date']) }}

with touched as (
    select transaction_id from {{ ref('stg_fraud__fraud_reports') }} where {{ newer(seen='reports_loaded_in') }}
    {% if is_incremental() %}
    union
    select transaction_id from {{ ref('fraud__transactions') }} where {{ newer(seen='transactions_loaded_in') }}
    {% endif %}
),

reports as (
    {{ versions(ref('stg_fraud__fraud_reports'), 'transaction_id', 'select transaction_id from touched') }}
)


{# The partition is the day of the payment's first version: it must not change when the payment is corrected. #}
select
    r.transaction_id,
    p.customer_id,
    p.terminal_id,
    p.tx_datetime,
    r.is_fraud,
    r.known_at,
    r.superseded_at,
    {% if is_incremental() %} 1 + (select max(loaded_in) from {{ this }}) {% else %} 1 {% endif %} as loaded_in,
    r.changed_in as reports_loaded_in,
    p.loaded_in as transactions_loaded_in,
    p.first_event_date as event_date
from reports as r
inner join {{ ref('fraud__transactions') }} as p on r.transaction_id = p.transaction_id
where p.superseded_at is null
