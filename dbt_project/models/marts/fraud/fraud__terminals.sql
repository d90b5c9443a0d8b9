-- One row per version of a terminal's profile, visible in [known_at, superseded_at).
{{ config(unique_key=['terminal_id', 'known_at']) }}

{{
    profiles(
        source('fraud_raw', 'terminals'), 'terminal_id', ['opened_at', 'x', 'y', 'region'] + extra_columns('fraud', 'terminals')
    )
}}
