-- One row per version of a customer's profile, visible in [known_at, superseded_at).
{{ config(unique_key=['customer_id', 'known_at']) }}

{{
    profiles(
        source('fraud_raw', 'customers'), 'customer_id', ['opened_at', 'x', 'y', 'region'] + extra_columns('fraud', 'customers')
    )
}}
