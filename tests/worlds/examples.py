"""How many examples a property is tried with: the same few for everybody, thousands of new ones in `make explore`."""

from typing import Any

from hypothesis import settings

EVERYBODY, EXPLORE = "everybody", "explore"
# Timing is no property: a busy machine is no reason to fail.
settings.register_profile(EVERYBODY, derandomize=True, deadline=None, database=None)
settings.register_profile(EXPLORE, max_examples=2000, deadline=None, print_blob=True)


def with_examples(count: int, most: int | None = None, **more: Any) -> settings:
    """Settings of a property that needs more or fewer examples than 100.

    Args:
        count: in `make test`.
        most: in `make explore`, for a property whose examples take long; None takes the profile's number.
        more: other settings of hypothesis.
    """
    if settings.get_current_profile_name() == EXPLORE:
        count = max(count, most or settings.default.max_examples)  # type: ignore[union-attr]
    return settings(max_examples=count, **more)
