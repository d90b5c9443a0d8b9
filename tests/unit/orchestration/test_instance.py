"""Dagster's databases of a new home are made once, whoever opens it first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from jobs.settings import Settings, load
from orchestration.instance import open_instance


def test_a_new_home_may_be_opened_by_several_at_once(tmp_path: object) -> None:
    settings, barrier = load({"EVERGREEN_HOME": f"{tmp_path}/home"}), Barrier(4)

    def opened(own: Settings) -> int:
        barrier.wait()
        with open_instance(own) as instance:
            return len(instance.get_runs(limit=1))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, [settings] * 4)) == [0] * 4
