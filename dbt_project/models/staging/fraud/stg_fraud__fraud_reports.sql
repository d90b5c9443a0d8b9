-- Every report, contradicting ones included.
{{ config(partition_by=['event_date']) }}

select
    transaction_id,
    tx_fraud as is_fraud,
    fraud_reported_at as reported_at,
    known_at,
    loaded_in,
    event_date
from {{ source('fraud_raw', 'fraud_reports') }}
where {{ newer() }} and {{ kept(source('fraud_raw', 'fraud_reports')) }}
