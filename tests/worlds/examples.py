"""How many examples a property is tried with: the same few for everybody, rounds of new ones in `make explore`."""

import functools
import os
import time
from typing import Any

import pytest
from hypothesis import settings

EVERYBODY, EXPLORE = "everybody", "explore"
# Timing is no property: a busy machine is no reason to fail.
settings.register_profile(EVERYBODY, derandomize=True, deadline=None, database=None)
settings.register_profile(EXPLORE, deadline=None, print_blob=True)

ENOUGH_EXAMPLES = 10_000
"""A property that was explored with as many is not explored further."""
SECONDS = float(os.environ.get("EVERGREEN_EXPLORE_SECONDS", "60"))
"""A property is explored so long; the round that is under way is ended."""


def with_examples(count: int, **more: Any) -> settings:
    """Settings of a property that needs more or fewer examples than 100; in `make explore` this is one round."""
    return settings(max_examples=count, **more)


def explored(test: pytest.Function) -> int | None:
    """Number of new examples that a property was explored with; None of other tests, and in `make test`."""
    handle: Any = getattr(test.obj, "hypothesis", None)
    if handle is None or settings.get_current_profile_name() != EXPLORE:
        return None
    arguments = {name: test.funcargs[name] for name in test._fixtureinfo.argnames}
    tried, end = 0, time.monotonic() + SECONDS
    body = handle.inner_test

    @functools.wraps(body)
    def counted(*args: Any, **drawn: Any) -> Any:
        nonlocal tried
        tried += 1
        return body(*args, **drawn)

    handle.inner_test = counted
    try:
        while tried < ENOUGH_EXAMPLES and time.monotonic() < end:
            test.obj(**arguments)
    finally:
        handle.inner_test = body
    return tried
