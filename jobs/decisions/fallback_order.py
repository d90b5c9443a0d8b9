"""What decides in place of the usual way, in the order in which it is tried."""

from __future__ import annotations

CACHED_STATE = "cached_state"
"""The model, with what a worker holds of the event's entities while the online store does not answer."""
NIGHTLY_FEATURES = "nightly_features"
"""The model, with features of the tables that the server started from, and of nothing later."""
CHAMPION_INSTEAD = "champion"
"""The champion, where the model of another arm failed."""
RULES = "rules"
"""The rules of `Review.without_model`, for what is known of the event."""
DEFAULT = "default"
"""`Review.otherwise`."""
ORDER = (CACHED_STATE, NIGHTLY_FEATURES, CHAMPION_INSTEAD, RULES, DEFAULT)
