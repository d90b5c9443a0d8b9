"""Features that only a request can tell, of any use case: one function each for one event and for arrays of events.

Their views are declared in `feature_repo/`; nothing here knows Feast or pandas. Times are integers, microseconds since
1970, UTC; numbers are floats, and a null is NaN.
"""

from typing import Any

from jobs.elementwise import flag, over

_SECOND, _WEEK, _THURSDAY = 1_000_000, 7, 3


def report(is_fraud: Any) -> dict[str, Any]:
    """What a report about a payment says."""
    return {"is_fraud": is_fraud}


def payment_time(at: Any) -> dict[str, Any]:
    """When in the day and in the week a payment is made."""
    seconds = at // _SECOND
    hour = seconds // 3600 % 24 + seconds // 60 % 60 / 60 + seconds % 60 / 3600
    # 1970 began on a Thursday.
    weekday = (seconds // 86_400 + _THURSDAY) % _WEEK
    return {"hour_of_day": hour, "is_night": flag(hour < 6), "is_weekend": flag(weekday >= 5)}


def payment_amount(amount: Any, mean: Any, deviation: Any, usual: Any, spread: Any) -> dict[str, Any]:
    """How unusual an amount is, against all payments of 30 days and against the ordinary ones of 60 days before."""
    return {
        "amount_to_mean_30d": over(amount, mean),
        "amount_zscore_30d": over(amount - mean, deviation),
        "amount_to_ordinary": over(amount, usual),
        "amount_zscore_ordinary": over(amount - usual, spread),
    }


def line_ratios(price: Any, quantity: Any, usual_price: Any, usual_quantity: Any) -> dict[str, Any]:
    """How unusual price and quantity of a line are for its article."""
    return {
        "price_to_item_mean_30d": over(price, usual_price),
        "quantity_to_item_mean_30d": over(quantity, usual_quantity),
    }


def article(item_id: str | None) -> dict[str, Any]:
    """The article, which is written in both cases; as `stg_returns__lines` has it."""
    return {"item_id": None if item_id is None else item_id.strip(" ").upper()}


def line(quantity: int, unit_price: float, country: str | None) -> dict[str, Any]:
    """What a line costs, and whether its buyer lives abroad; as `stg_returns__lines` has it."""
    return {"amount": quantity * unit_price, "is_abroad": country is not None and country != "United Kingdom"}
