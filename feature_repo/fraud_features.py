"""Features of the fraud use case: its window tables as feature views, and what only a request can tell."""

from datetime import timedelta

import pandas as pd
from feast import FeatureService, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, UnixTimestamp

from jobs.feature_store.views import entity, feature_view, profile_view, tags
from jobs.use_cases import fraud as built_in
from jobs.use_cases.catalog import as_declared
from jobs.use_cases.fraud import PAYMENT_AMOUNT, PAYMENT_TIME

FRAUD = as_declared(built_in.FRAUD)
OWNER = FRAUD.owners[0]
# Most windows end by then: older values would describe a customer who has not been seen since.
TTL = timedelta(days=30)

customer = entity(FRAUD, "customer_id", "A cardholder.")
terminal = entity(FRAUD, "terminal_id", "A point of sale.")

entities = {"customer_id": customer, "terminal_id": terminal}
windows = {each.name: feature_view(FRAUD, each, [entities[key] for key in each.keys], TTL) for each in FRAUD.windows}
profiles = [profile_view(FRAUD, each, entities[FRAUD.source(each.source).key[0]]) for each in FRAUD.profiles]
# Feast finds what stands in a module under a name.
globals().update({view.name: view for view in (*windows.values(), *profiles)})

payment = RequestSource(
    name="payment",
    schema=[
        Field(name="tx_datetime", dtype=UnixTimestamp, description="When the payment is made, UTC."),
        Field(name="tx_amount", dtype=Float64, description="Amount in the card's currency."),
    ],
    description="What the payment itself says.",
    owner=OWNER,
    tags=tags(FRAUD),
)


@on_demand_feature_view(
    sources=[payment],
    schema=[
        Field(name="hour_of_day", dtype=Float64),
        Field(name="is_night", dtype=Int64),
        Field(name="is_weekend", dtype=Int64),
    ],
    mode="pandas",
    description="When in the day and in the week a payment is made.",
    owner=OWNER,
    # Feast 0.67 refuses descriptions on the fields themselves: it takes them for features it did not infer.
    tags=tags(FRAUD, **PAYMENT_TIME.outputs),
)
def payment_time(inputs: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from jobs.use_cases import request_features

    at = pd.to_datetime(inputs["tx_datetime"], utc=True).dt.as_unit("us")
    features = pd.DataFrame(request_features.payment_time(at.astype("int64").to_numpy()), index=inputs.index)
    features.loc[at.isna(), ["hour_of_day", "is_night", "is_weekend"]] = (float("nan"), 0, 0)
    return features


@on_demand_feature_view(
    sources=[
        payment,
        windows["customer_windows"][
            [
                "customer_amount_mean_30d",
                "customer_amount_std_30d",
                "customer_ordinary_mean_60d_delay_1s",
                "customer_ordinary_std_60d_delay_1s",
            ]
        ],
    ],
    schema=[
        Field(name="amount_to_mean_30d", dtype=Float64),
        Field(name="amount_zscore_30d", dtype=Float64),
        Field(name="amount_to_ordinary", dtype=Float64),
        Field(name="amount_zscore_ordinary", dtype=Float64),
    ],
    mode="pandas",
    description="How unusual the amount is for this customer.",
    owner=OWNER,
    tags=tags(FRAUD, **PAYMENT_AMOUNT.outputs),
)
def payment_amount(inputs: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from jobs.use_cases import request_features

    columns = (
        "tx_amount",
        "customer_amount_mean_30d",
        "customer_amount_std_30d",
        "customer_ordinary_mean_60d_delay_1s",
        "customer_ordinary_std_60d_delay_1s",
    )
    numbers = (inputs[name].astype("float64").to_numpy() for name in columns)
    return pd.DataFrame(request_features.payment_amount(*numbers), index=inputs.index)


fraud = FeatureService(
    name=FRAUD.feature_service,
    features=[*windows.values(), *profiles, payment_time, payment_amount],
    description="Everything the fraud models see next to the payment's amount.",
    owner=OWNER,
    tags=tags(FRAUD),
)
