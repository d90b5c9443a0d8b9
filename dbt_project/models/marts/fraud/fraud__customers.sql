-- One row per version of a customer's profile, visible in [known_at, superseded_at).
{{ config(unique_key=['customer_id', 'known_at']) }}

with touched as (
    select customer_id from {{ source('fraud_raw', 'customers') }} where {{ newer() }}
),

versions as (
    {{ versions(source('fraud_raw', 'customers'), 'customer_id', 'select customer_id from touched') }}
)

select
    customer_id,
    opened_at,
    x,
    y,
    region,
    known_at,
    superseded_at,
    changed_in as loaded_in
from versions
