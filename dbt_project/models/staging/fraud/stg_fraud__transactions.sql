-- Every version of every payment, under the names the marts use.
{{ config(partition_by=['event_date']) }}

select
    transaction_id,
    tx_datetime,
    customer_id,
    terminal_id,
    tx_amount,
    {{ also('fraud', 'transactions') }}
    known_at,
    loaded_in,
    event_date
from {{ source('fraud_raw', 'transactions') }}
where {{ newer() }} and {{ kept(source('fraud_raw', 'transactions')) }}
