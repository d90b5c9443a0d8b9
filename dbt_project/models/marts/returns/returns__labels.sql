{# A purchase is returned when a line of the same customer and article with a negative quantity follows within 60 days;
   that is known when the first such line is. A return that is loaded later, but came before the one we knew, is a
   version that was known before it: known_at distinguishes the two. #}
-- One row per version of a purchase's label, visible in [known_at, superseded_at).
{{ config(unique_key=['line_id', 'known_at'], partition_by=['event_date']) }}

with lines as (
    select * from {{ ref('stg_returns__lines') }}
),

touched as (
    select distinct buyer_id, item_id from lines where {{ newer(seen='lines_loaded_in') }}
),

matched as (
    select
        p.line_id,
        p.buyer_id,
        p.item_id,
        p.invoiced_at,
        r.known_at,
        greatest(p.loaded_in, r.loaded_in) as lines_loaded_in,
        p.event_date
    from lines as p
    inner join touched as t on p.buyer_id = t.buyer_id and p.item_id = t.item_id
    inner join lines as r
        on
            p.buyer_id = r.buyer_id
            and p.item_id = r.item_id
            and r.invoiced_at > p.invoiced_at
            and r.invoiced_at <= p.invoiced_at + interval 60 days
    where p.quantity > 0 and r.quantity < 0
),

returns as (
    select
        line_id,
        buyer_id,
        item_id,
        invoiced_at,
        known_at,
        max(lines_loaded_in) as lines_loaded_in,
        event_date
    from matched
    group by line_id, buyer_id, item_id, invoiced_at, known_at, event_date
)

select
    line_id,
    buyer_id,
    item_id,
    invoiced_at,
    true as is_returned,
    known_at,
    lead(known_at) over (partition by line_id order by known_at) as superseded_at,
    {{ next_load() }} as loaded_in,
    lines_loaded_in,
    event_date
from returns
