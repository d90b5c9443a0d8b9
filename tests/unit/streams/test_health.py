"""What looks at heartbeats say of a stream: which state it is in, what lasts, what grows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.processes import this_process
from jobs.streams import health
from jobs.streams.control import Condition, Heartbeat
from jobs.streams.health import KEPT_LOOKS, LEAST_LAG, Look, Seen

NOW = 1_800_000_000.0
HERE = Heartbeat(NOW, this_process(), "running")
GONE = replace(HERE, process="1@0.00")


@pytest.mark.parametrize("condition", ["running", "paused", "waiting"])
def test_one_that_spoke_just_now_is_what_it_says_wherever_it_runs(condition: Condition) -> None:
    assert health.state(replace(GONE, condition=condition), NOW + 60) == condition
    assert health.state(replace(GONE, condition=condition), NOW + 61) == "dead"
    assert health.state(replace(HERE, condition=condition), NOW + 61) == "silent"


@pytest.mark.parametrize("condition", ["ended", "failed"])
def test_one_that_said_that_it_ends_is_neither_dead_nor_silent(condition: Condition) -> None:
    assert health.state(replace(GONE, condition=condition), NOW + 1e6) == condition


@given(st.lists(st.integers(0, 3 * LEAST_LAG), min_size=KEPT_LOOKS, max_size=KEPT_LOOKS), st.booleans())
def test_a_lag_grows_that_is_more_at_each_look_while_it_runs(lags: list[int], runs: bool) -> None:
    looks = [Look("running" if runs else "paused", {"one": lag, "two": 7}, 0, "") for lag in lags]
    grows = runs and lags[-1] >= LEAST_LAG and all(one < other for one, other in pairwise(lags))
    assert health.growing(looks) == ({"one": lags[-1]} if grows else {})
    assert health.growing(looks[1:]) == {}


def test_quiet_is_a_stream_to_which_nothing_comes_and_not_one_that_reads_the_past() -> None:
    said = replace(HERE, stamp=int((NOW - 7 * 3600) * 1e6))
    still = [Look("running", {}, 5, ""), Look("running", {}, 5, "")]
    assert health.quiet_for(Seen(said, still, {}), NOW) == timedelta(hours=7)
    assert health.quiet_for(Seen(said, still, {}), NOW - 3600) is None
    assert health.quiet_for(Seen(said, [still[0], replace(still[1], messages=6)], {}), NOW) is None
    assert health.quiet_for(Seen(replace(said, stamp=0), still, {"one": Counter()}), NOW) is None


def test_one_that_starts_has_half_an_hour_unless_its_process_is_gone() -> None:
    assert health.state(replace(HERE, condition="starting"), NOW + 1800) == "starting"
    assert health.state(replace(HERE, condition="starting"), NOW + 1801) == "silent"
    assert health.state(replace(GONE, condition="starting"), NOW + 60) == "starting"
    assert health.state(replace(GONE, condition="starting"), NOW + 61) == "dead"
