"""Features of the returns use case: its window tables as feature views, and the line against what is usual."""

from datetime import timedelta

import pandas as pd
from feast import FeatureService, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from jobs.feature_store.views import entity, feature_view, tags
from jobs.use_cases import returns as built_in
from jobs.use_cases.catalog import as_declared
from jobs.use_cases.returns import LINE_RATIOS

RETURNS = as_declared(built_in.RETURNS)
OWNER = RETURNS.owners[0]
TTL = timedelta(days=90)

buyer = entity(RETURNS, "buyer_id", "A customer of the shop.")
item = entity(RETURNS, "item_id", "An article of the shop.")

entities = {"buyer_id": buyer, "item_id": item}
windows = {each.name: feature_view(RETURNS, each, [entities[k] for k in each.keys], TTL) for each in RETURNS.windows}
# Feast finds what stands in a module under a name.
globals().update({view.name: view for view in windows.values()})

line = RequestSource(
    name="line",
    schema=[
        Field(name="quantity", dtype=Float64, description="Pieces."),
        Field(name="unit_price", dtype=Float64, description="Price of a piece."),
    ],
    description="What the line itself says.",
    owner=OWNER,
    tags=tags(RETURNS),
)


@on_demand_feature_view(
    sources=[line, windows["item_windows"][["item_price_mean_30d", "item_quantity_mean_30d"]]],
    schema=[
        Field(name="price_to_item_mean_30d", dtype=Float64),
        Field(name="quantity_to_item_mean_30d", dtype=Float64),
    ],
    mode="pandas",
    description="How unusual price and quantity are for the article.",
    owner=OWNER,
    tags=tags(RETURNS, **LINE_RATIOS.outputs),
)
def line_ratios(inputs: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from jobs.use_cases import request_features

    columns = ("unit_price", "quantity", "item_price_mean_30d", "item_quantity_mean_30d")
    numbers = (inputs[name].astype("float64").to_numpy() for name in columns)
    return pd.DataFrame(request_features.line_ratios(*numbers), index=inputs.index)


returns = FeatureService(
    name=RETURNS.feature_service,
    features=[*windows.values(), line_ratios],
    description="Everything the returns models see next to the line's own numbers.",
    owner=OWNER,
    tags=tags(RETURNS),
)
