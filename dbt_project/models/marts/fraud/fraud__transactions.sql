-- One row per version of a payment, visible in [known_at, superseded_at).
{{ config(unique_key=['transaction_id', 'known_at'], partition_by=['event_date']) }}

with touched as (
    select transaction_id from {{ ref('stg_fraud__transactions') }} where {{ newer() }}
    {{ and_deleted(source('fraud_raw', 'transactions'), 'transaction_id') }}
),

versions as (
    {{
        versions(
            ref('stg_fraud__transactions'), 'transaction_id', 'select transaction_id from touched', source('fraud_raw', 'transactions')
        )
    }}
)

select
    transaction_id,
    tx_datetime,
    customer_id,
    terminal_id,
    tx_amount,
    {{ also('fraud', 'transactions') }}
    known_at,
    version,
    superseded_at,
    changed_in as loaded_in,
    first_event_date,
    event_date
from versions
