"""Requests that wait at the same turn are decided together, and each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from worlds.deciding_server import deciding

from jobs.arrays import Float32s
from jobs.decisions import opened
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.models.runtime import session
from jobs.registry.bundle import NUMBER, Manifest
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from serving.decisions.together import MOST_TOGETHER, Together
from serving.live_models.live_model import LiveModel

pytestmark = pytest.mark.embedded
NAMES = tuple(f"f{number}" for number in range(20))
Row = dict[str, object]


def test_what_waits_at_one_turn_is_worked_on_at_once_and_alone_where_nothing_else_waits() -> None:
    groups: list[list[int]] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        groups.append(list(items))
        return [ValueError(str(item)) if item % 5 == 4 else 2 * item for item in items]

    async def ask() -> list[int | BaseException]:
        together: Together[int, int] = Together(work)
        assert await together.ask(100) == 200
        return await asyncio.gather(*map(together.ask, range(MOST_TOGETHER + 3)), return_exceptions=True)

    found = asyncio.run(ask())
    assert groups == [[100], list(range(MOST_TOGETHER)), list(range(MOST_TOGETHER, MOST_TOGETHER + 3))]
    for item, result in enumerate(found):
        assert str(result) == str(item) if item % 5 == 4 else result == 2 * item


def test_work_that_fails_is_told_to_all_who_wait_and_later_ones_are_answered() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise ValueError("nothing")
        return list(items)

    async def ask() -> list[int | BaseException]:
        together: Together[int, int] = Together(work)
        given_up = together.ask(7)
        given_up.cancel()
        refused = await asyncio.gather(together.ask(0), together.ask(1), return_exceptions=True)
        return [*refused, await together.ask(2)]

    *refused, answered = asyncio.run(ask())
    assert [repr(each) for each in refused] == ["ValueError('nothing')"] * 2 and answered == 2


def payment(id: int, **more: object) -> Row:
    return {"transaction_id": id, "customer_id": 4000, "terminal_id": 100, "tx_amount": 12.5, **more}


def test_requests_at_once_are_answered_as_if_they_came_one_by_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")

    async def ask(address: str, *bodies: Row) -> list[httpx.Response]:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=len(bodies))) as client:
            return await asyncio.gather(*(client.post(f"{address}/v1/fraud/decisions", json=each) for each in bodies))

    with deciding(settings) as address:
        new = [payment(number) for number in range(40)]
        answers = asyncio.run(ask(address, *new, payment(3), payment(6), payment(50, tx_amount="much")))
        later = asyncio.run(ask(address, payment(41), payment(4, tx_amount=99), payment(3)))
        listed = httpx.post(f"{address}/v1/fraud/decisions", json=[payment(60), payment(60), payment(4, tx_amount=3)])
        last = httpx.post(f"{address}/v1/fraud/decisions?features=true", json=payment(61)).json()
    assert [each.status_code for each in (*answers, *later)] == [200] * 42 + [400, 200, 409, 200]
    assert answers[40].json() == answers[3].json() == later[2].json() and answers[41].json() == answers[6].json()
    one, again, other = listed.json()
    assert one == again and other["status"] == 409
    assert last["features"]["customer_tx_count_1d"] == 43
    require_in_log(settings, [*range(40), 41, 60, 61])


def require_in_log(settings: Settings, ids: list[int]) -> None:
    """Each event and each decision is there once, and an event before its decision."""
    with opened.log_of(settings, FRAUD) as log:
        records = [record.id.partition("/") for record in log.records() if not record.id.startswith("base")]
    for kind in ("event", "decision"):
        assert sorted(int(id) for one, _, id in records if one == kind) == ids
    assert all(records.index(("event", "/", str(id))) < records.index(("decision", "/", str(id))) for id in ids)


def trees(values: Float32s) -> Any:
    model = new_model("boosted", {"rounds": 20})
    model.fit(Examples(values, values[:, 0] > 0, None, NAMES), None, seed=0, device="cpu")
    return session(model.to_onnx())


class Sums:
    """A session that adds up rows in another order when there are several, as networks of several members do."""

    def run(self, outputs: list[str], feeds: dict[str, Float32s]) -> list[Float32s]:
        rows = feeds["features"] if len(feeds["features"]) == 1 else feeds["features"][:, ::-1]
        return [np.add.accumulate(rows, axis=1)[:, -1]]


@pytest.mark.parametrize(("made", "is_alike"), [(trees, True), (lambda values: Sums(), False)])
def test_a_row_has_the_bits_together_with_others_that_it_has_alone(
    made: Callable[[Float32s], Any], is_alike: bool
) -> None:
    values = np.random.default_rng(0).normal(size=(600, len(NAMES))).astype(np.float32)
    manifest = Manifest("fraud", "any", tuple((name, NUMBER) for name in NAMES), 0.5, "2026-03-01T00:00:00+00:00", {})
    live = LiveModel("fraud", "1", "0", "0", manifest, made(values))
    rows = [{"features": row[None]} for row in values]
    alone = np.concatenate([live.run(row) for row in rows])
    together = np.concatenate([live.run_each(rows[start : start + 7]) for start in range(0, len(rows), 7)])
    assert np.array_equal(alone, together) and live.is_alike == is_alike
