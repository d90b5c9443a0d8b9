-- One row per version of a terminal's profile, visible in [known_at, superseded_at).
{{ config(unique_key=['terminal_id', 'known_at']) }}

with touched as (
    select terminal_id from {{ source('fraud_raw', 'terminals') }} where {{ newer() }}
),

versions as (
    {{ versions(source('fraud_raw', 'terminals'), 'terminal_id', 'select terminal_id from touched') }}
)

select
    terminal_id,
    opened_at,
    x,
    y,
    region,
    known_at,
    superseded_at,
    changed_in as loaded_in
from versions
